import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AdminService } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { Dimension } from "../../gen/weir/admin/v1/policy_pb.ts";
import { Role } from "../../gen/weir/admin/v1/team_pb.ts";
import type { QuotaReply, QuotaReport } from "../../gen/weir/link/v1/link_service_pb.ts";
import type { ProxyState } from "../mesh/hub.ts";
import { adminSecret, messageOf, openTrial, reasonOf, type Trial } from "./trial.fixture.ts";

type Lease = QuotaReport["leases"][number];

let trial: Trial;
beforeAll(async () => {
  trial = await openTrial();
  await admin().createPolicy({
    policy: {
      name: "policies/ever",
      rule: { case: "budget", value: { dimension: Dimension.REQUESTS, limit: 100n, window } },
    },
  });
  await admin().createPolicy({
    policy: {
      name: "policies/flow",
      rule: { case: "rateLimit", value: { dimension: Dimension.REQUESTS, limit: 6000n } },
    },
  });
});
afterAll(() => trial.close());

const window = { window: { case: "lifetime" as const, value: {} } };
const admin = () => trial.client(AdminService, adminSecret);
const ever = "policies/ever|requests:lifetime|";
const flow = "policies/flow|requests:rate|";

/** Sends a report until the ledger says something about it. */
async function report(
  proxyId: string,
  sequence: bigint,
  lease: Partial<Lease>,
  epoch = 1,
): Promise<QuotaReply> {
  const whole: QuotaReport = {
    $typeName: "weir.link.v1.QuotaReport",
    sequence,
    leases: [
      {
        $typeName: "weir.link.v1.LeaseReport",
        ...{ bucket: ever, windowStartMs: -1n, granted: 0n, confirmed: 0n, returned: 0n },
        ...{ outstanding: 0n, want: 0n, need: 0n, levelReturned: 0n },
        ...lease,
      },
    ],
    confessions: [],
    previousEpoch: 0n,
  };
  for (let tries = 0; tries < 50; tries += 1) {
    const reply = await trial.control.hub.reportQuota?.({ proxyId, epoch }, whole);
    if (reply?.unavailable === "" || reply?.superseded === true) return reply;
  }
  throw new Error("the ledger does not answer");
}

function connect(proxyId: string): void {
  const state: ProxyState = {
    ...{ proxyId, version: "", listen: "", revision: 0, connectedWallMs: 0 },
    ...{ refusedRevision: 0, refusal: "", faults: [] },
  };
  trial.registry = { ...trial.registry, list: () => [state] };
}

describe("ReleaseQuota", () => {
  it("takes away what a proxy held, and says what is lost and what is there again", async () => {
    await report("gone", 1n, { need: 30n });
    await report("gone", 2n, { windowStartMs: 0n, granted: 30n, confirmed: 10n });
    await report("gone", 3n, { bucket: flow, want: 500_000n });
    const held = (await admin().getQuotaStatus({ name: "policies/flow" })).buckets[0]?.leased ?? 0n;
    expect(held).toBeGreaterThan(0n);

    const { leases, leaseCount, reportTime } = await admin().releaseQuota({ proxyId: "gone" });
    expect(leases).toMatchObject([
      { bucket: ever, policy: "policies/ever", unit: "requests", forfeited: 20n, returned: 0n },
      { bucket: flow, policy: "policies/flow", forfeited: 0n, returned: held },
    ]);
    expect(leaseCount).toBe(2n);
    expect(reportTime?.seconds).toBeGreaterThan(0n);
    const [bucket] = (await admin().getQuotaStatus({ name: "policies/ever" })).buckets;
    expect(bucket).toMatchObject({ spent: 10n, forfeited: 20n, leased: 0n, leases: [] });
    expect(trial.faults).toEqual([]);
  });

  it("lets no later report of that start be booked, and says so", async () => {
    const late = { windowStartMs: 0n, granted: 30n, confirmed: 30n };
    const reply = await report("gone", 4n, late);
    expect(reply).toMatchObject({ superseded: true, leases: [] });
    expect(reply.unavailable).toContain("released");
    expect((await report("gone", 1n, { need: 1n }, 2)).leases[0]?.granted).toBe(1n);
  });

  it("is refused while the proxy is connected, unless forced", async () => {
    const before = trial.registry;
    await report("here", 1n, { need: 5n });
    connect("here");
    expect(await reasonOf(admin().releaseQuota({ proxyId: "here" }))).toBe("FAILED_PRECONDITION");
    expect(await messageOf(admin().releaseQuota({ proxyId: "here" }))).toContain("force");
    const { leases } = await admin().releaseQuota({ proxyId: "here", force: true });
    expect(leases).toMatchObject([{ forfeited: 5n }]);
    trial.registry = before;
  });

  it("needs a proxy that is known, and a platform admin", async () => {
    expect(await reasonOf(admin().releaseQuota({ proxyId: "nobody" }))).toBe("NOT_FOUND");
    expect(await reasonOf(admin().releaseQuota({}))).toBe("INVALID_REQUEST");
    const secret = await trial.key("teams/root", "auditor", Role.AUDITOR);
    const auditor = trial.client(AdminService, secret);
    expect(await reasonOf(auditor.releaseQuota({ proxyId: "here" }))).toBe("PERMISSION_DENIED");
  });
});
