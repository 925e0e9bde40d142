import type { MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AdminService } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import {
  Dimension,
  Per_Scope,
  type PolicySchema,
  Window_Calendar,
} from "../../gen/weir/admin/v1/policy_pb.ts";
import { Role } from "../../gen/weir/admin/v1/team_pb.ts";
import type { QuotaReport } from "../../gen/weir/link/v1/link_service_pb.ts";
import { adminSecret, messageOf, openTrial, reasonOf, type Trial } from "./trial.fixture.ts";

type Rule = NonNullable<MessageInitShape<typeof PolicySchema>["rule"]>;
type Lease = QuotaReport["leases"][number];

let trial: Trial;
beforeAll(async () => {
  trial = await openTrial();
});
afterAll(() => trial.close());

const admin = () => trial.client(AdminService, adminSecret);

async function createPolicy(name: string, rule: Rule): Promise<void> {
  await admin().createPolicy({ policy: { name, rule } });
}

const sequences = new Map<string, bigint>();

/** A report of a proxy; the one lease of the answer. */
async function report(proxyId: string, bucket: string, more: Partial<Lease>, epoch = 1) {
  const sequence = (sequences.get(`${proxyId} ${epoch}`) ?? 0n) + 1n;
  sequences.set(`${proxyId} ${epoch}`, sequence);
  const lease: Lease = {
    $typeName: "weir.link.v1.LeaseReport",
    bucket,
    windowStartMs: -1n,
    granted: 0n,
    confirmed: 0n,
    returned: 0n,
    outstanding: 0n,
    want: 0n,
    need: 0n,
    levelReturned: 0n,
    ...more,
  };
  const whole: QuotaReport = {
    $typeName: "weir.link.v1.QuotaReport",
    sequence,
    leases: [lease],
    confessions: [],
    previousEpoch: 0n,
  };
  // As a proxy does: what was not answered in time is sent again as it is.
  for (let tries = 0; tries < 50; tries += 1) {
    const reply = await trial.control.hub.reportQuota?.({ proxyId, epoch }, whole);
    const [grant] = reply?.leases ?? [];
    if (grant !== undefined) return grant;
  }
  throw new Error("the ledger does not answer");
}

const month = { window: { case: "calendar", value: Window_Calendar.MONTH } } as const;

describe("GetQuotaStatus", () => {
  it("shows each pot of a policy: spent, held by whom, left, and when it begins anew", async () => {
    const name = "policies/keys";
    await createPolicy(name, {
      case: "budget",
      value: {
        dimension: Dimension.NANO_USD,
        limit: 1000n,
        window: month,
        per: { scope: Per_Scope.EACH_KEY },
      },
    });
    const key = "teams/first/keys/first";
    const bucket = `${name}|nano_usd:month@UTC|${key}`;
    const { windowStartMs } = await report("one", bucket, { need: 300n });
    await report("one", bucket, {
      windowStartMs,
      granted: 300n,
      confirmed: 120n,
      outstanding: 50n,
    });
    const { buckets, suspendedReason } = await admin().getQuotaStatus({ name });
    expect(suspendedReason).toBe("");
    expect(buckets).toHaveLength(1);
    expect(buckets[0]).toMatchObject({
      bucket,
      policy: name,
      subject: key,
      dimension: Dimension.NANO_USD,
      unit: "nano_usd",
      ceiling: 1000n,
      spent: 120n,
      leased: 180n,
      forfeited: 0n,
      overhang: 0n,
      remaining: 700n,
      gone: false,
      leases: [{ proxyId: "one", epoch: 1n, held: 180n, outstanding: 50n, frozen: false }],
    });
    expect(Number(buckets[0]?.windowStartTime?.seconds) * 1000).toBe(Number(windowStartMs));
    expect(buckets[0]?.resetTime?.seconds).toBeGreaterThan(0n);
    const mine = await admin().getQuotaStatus({ name: key });
    expect(mine.buckets.map((each) => each.bucket)).toEqual([bucket]);
  });

  it("tells frozen leases from others, and says by how much a lowered limit is exceeded", async () => {
    const name = "policies/lowered";
    const value = { dimension: Dimension.REQUESTS, limit: 100n, window: month };
    await createPolicy(name, { case: "budget", value });
    const bucket = `${name}|requests:month@UTC|`;
    await report("frost", bucket, { need: 90n });
    await report("frost", bucket, {}, 2);
    await admin().updatePolicy({
      policy: { name, rule: { case: "budget", value: { ...value, limit: 60n } } },
    });
    const { buckets } = await admin().getQuotaStatus({ name });
    expect(buckets[0]).toMatchObject({
      ceiling: 60n,
      leased: 90n,
      overhang: 30n,
      remaining: 0n,
      leases: [{ proxyId: "frost", epoch: 1n, held: 90n, frozen: true }],
    });
    await admin().deletePolicy({ name });
    const after = await admin().getQuotaStatus({ name });
    expect(after.buckets[0]).toMatchObject({ gone: true, leased: 90n });
  });

  it("shows rates in their own unit", async () => {
    const name = "policies/rate";
    const value = { dimension: Dimension.REQUESTS, limit: 6000n };
    await createPolicy(name, { case: "rateLimit", value });
    const bucket = `${name}|requests:rate|`;
    const { granted } = await report("rate-proxy", bucket, { want: 500_000n });
    const { buckets } = await admin().getQuotaStatus({ name });
    expect(buckets[0]).toMatchObject({
      unit: "requests",
      ceiling: 6000n,
      leased: (granted * 6000n) / 1_000_000n,
      spent: 0n,
    });
    expect(buckets[0]?.resetTime).toBeUndefined();
  });

  it("shows requests under way", async () => {
    const name = "policies/slots";
    await createPolicy(name, { case: "concurrency", value: { limit: 4n } });
    await report("slot-proxy", `${name}|slots|`, { need: 3n });
    const { buckets } = await admin().getQuotaStatus({ name });
    expect(buckets[0]).toMatchObject({
      unit: "slots",
      dimension: Dimension.UNSPECIFIED,
      ceiling: 4n,
      leased: 3n,
      remaining: 1n,
    });
  });

  it("is empty for what has no pot yet, and refuses what is not there", async () => {
    const { buckets } = await admin().getQuotaStatus({ name: "teams/first" });
    expect(buckets).toEqual([]);
    expect(await reasonOf(admin().getQuotaStatus({ name: "policies/no" }))).toBe("NOT_FOUND");
    expect(await reasonOf(admin().getQuotaStatus({ name: "" }))).toBe("INVALID_REQUEST");
  });
});

describe("GetQuotaStatus for a team's admin", () => {
  it("shows what is below its team, and neither who holds it nor anything else", async () => {
    const per = { scope: Per_Scope.EACH_TEAM };
    const value = { dimension: Dimension.REQUESTS, limit: 100n, window: month, per };
    await createPolicy("policies/each-team", { case: "budget", value });
    const bucket = "policies/each-team|requests:month@UTC|teams/first";
    await report("holder", bucket, { need: 10n });
    const secret = await trial.key("teams/first", "lead", Role.TEAM_ADMIN);
    const lead = trial.client(AdminService, secret);
    const { buckets } = await lead.getQuotaStatus({ name: "teams/first" });
    const mine = buckets.find((each) => each.policy === "policies/each-team");
    expect(mine).toMatchObject({ ceiling: 100n, leases: [] });
    expect(mine?.leased).toBeGreaterThan(0n);
    for (const name of ["teams/root", "policies/each-team", "users/nobody", "nonsense"]) {
      expect(await reasonOf(lead.getQuotaStatus({ name }))).toBe("NOT_FOUND");
    }
  });
});

describe("ResumeQuota", () => {
  it("grants again after the ledger has found itself too old", async () => {
    const name = "policies/older";
    await createPolicy(name, { case: "concurrency", value: { limit: 100n } });
    const bucket = `${name}|slots|`;
    await report("older", bucket, { windowStartMs: 0n, granted: 10n });
    const status = await admin().getQuotaStatus({ name });
    expect(status.suspendedReason).toContain("older was granted 10");
    expect(status.suspendTime?.seconds).toBeGreaterThan(0n);
    expect((await report("newer", bucket, { need: 1n })).granted).toBe(0n);

    const auditor = trial.client(
      AdminService,
      await trial.key("teams/root", "auditor", Role.AUDITOR),
    );
    expect(await reasonOf(auditor.resumeQuota({}))).toBe("PERMISSION_DENIED");
    const resumed = await admin().resumeQuota({});
    expect(resumed.suspendedReason).toBe(status.suspendedReason);
    expect((await report("newer", bucket, { need: 1n })).granted).toBe(1n);
    expect((await admin().resumeQuota({})).suspendedReason).toBe("");
  });
});

describe("policies that limit", () => {
  it("are refused where they cannot be held, with the field at fault", async () => {
    const value = { dimension: Dimension.TOKENS, limit: 1n, window: { ...month, timeZone: "X/Y" } };
    const policy = { name: "policies/bad", rule: { case: "budget" as const, value } };
    expect(await messageOf(admin().createPolicy({ policy }))).toContain("Europe/Berlin");
    expect(await reasonOf(admin().createPolicy({ policy }))).toBe("INVALID_REQUEST");
  });

  it("name a model to answer instead that is there", async () => {
    const onExhausted = { downgradeTo: "sim/text" };
    const value = { dimension: Dimension.TOKENS, limit: 1n, window: month, onExhausted };
    await createPolicy("policies/downgrade", { case: "budget", value });
    const wrong = { ...value, onExhausted: { downgradeTo: "no/such" } };
    const policy = { name: "policies/downgrade2", rule: { case: "budget" as const, value: wrong } };
    expect(await messageOf(admin().createPolicy({ policy }))).toContain("no/such");
  });
});
