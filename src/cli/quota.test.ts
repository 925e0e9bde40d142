import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterEach, describe, expect, it } from "vitest";
import { GetQuotaStatusResponse_BucketSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { PolicySchema } from "../../gen/weir/admin/v1/policy_pb.ts";
import { type Answers, openPretendWeir, type PretendWeir } from "../../test/client/pretend-weir.ts";
import { type Ran, runCommand } from "./run-command.fixture.ts";

let weir: PretendWeir | undefined;

afterEach(() => weir?.close());

async function run(admin: Answers["admin"] & object, ...args: string[]): Promise<Ran> {
  weir = await openPretendWeir({ admin });
  return await runCommand(["quota", ...args], { WEIR_ADDRESS: weir.address, WEIR_KEY: "wk_test" });
}

const bucket = create(GetQuotaStatusResponse_BucketSchema, {
  bucket: "policies/money|nano_usd:month@UTC|teams/a",
  policy: "policies/money",
  subject: "teams/a",
  unit: "nano_usd",
  ceiling: 5_000_000_000n,
  spent: 1_000_000_000n,
  leased: 500_000_000n,
  forfeited: 250_000_000n,
  remaining: 3_250_000_000n,
  resetTime: timestampFromMs(0),
  leases: [
    { proxyId: "local-0", held: 400_000_000n },
    { proxyId: "local-1", held: 100_000_000n, frozen: true },
  ],
});

function policy(name: string, kind: "budget" | "access"): MessageInitShape<typeof PolicySchema> {
  const rule = kind === "budget" ? { case: "budget" as const, value: {} } : undefined;
  return { name, ...(rule === undefined ? {} : { rule }) };
}

describe("weir quota", () => {
  it("shows what is spent, held by whom, lost and left", async () => {
    const names: string[] = [];
    const getQuotaStatus = ({ name }: { name: string }) => {
      names.push(name);
      return { buckets: [bucket, { ...bucket, subject: "", gone: true, leases: [] }] };
    };
    const { code, out, err } = await run({ getQuotaStatus }, "policies/money");
    expect([code, err, names]).toEqual([0, "", ["policies/money"]]);
    const [, first = "", second = ""] = out.split("\n");
    expect(first).toMatch(
      /^policies\/money +teams\/a +\$5 +\$1 +\$0\.5 +\$0\.25 +- +\$3\.25 +1970/,
    );
    expect(first).toContain("local-0: $0.4, local-1: $0.1 (until it is back)");
    expect(second).toMatch(/^policies\/money \(gone\) +all /);
  });

  it("shows those of all policies that limit something, on all pages", async () => {
    const parents = new Set<string>();
    const listPolicies = ({ pageToken, parent }: { pageToken: string; parent: string }) => {
      parents.add(parent);
      return pages(pageToken);
    };
    const pages = (pageToken: string) =>
      pageToken === ""
        ? {
            policies: [policy("policies/a", "access"), policy("policies/b", "budget")],
            nextPageToken: "2",
          }
        : {
            policies: [
              policy("policies/c", "budget"),
              { ...policy("policies/d", "budget"), disabled: true },
            ],
          };
    const getQuotaStatus = ({ name }: { name: string }) =>
      name === "policies/b" ? { buckets: [{ ...bucket, policy: name }] } : {};
    const { out, err } = await run({ listPolicies, getQuotaStatus });
    const lines = out.trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    expect(lines[1]).toMatch(/^policies\/b +teams\/a/);
    expect(lines[2]).toMatch(/^policies\/c +nothing was asked yet$/);
    expect(err).toBe("");
    await weir?.close();
    const few = await run({ listPolicies, getQuotaStatus }, "-n", "1");
    expect(few.out.trimEnd().split("\n")).toHaveLength(2);
    expect([...parents]).toEqual(["-"]);
    expect(few.err).toContain("1 more policies are not shown");
  });

  it("is JSON for programs, and says what is wrong on standard error", async () => {
    const suspendedReason = "A proxy holds more than the ledger knows of.";
    const status = { buckets: [bucket], suspendedReason, suspendTime: timestampFromMs(0) };
    const { out, err } = await run({ getQuotaStatus: () => status }, "teams/a", "-o", "json");
    expect(JSON.parse(out)).toMatchObject({
      buckets: [{ policy: "policies/money", spent: "1000000000", leases: [{}, { frozen: true }] }],
      suspendedReason,
    });
    expect(err).toContain(`since 1970-01-01 00:00:00: ${suspendedReason}`);
    expect(err).toContain("weir quota resume");
  });

  it("lets a ledger grant again", async () => {
    const { out } = await run({ resumeQuota: () => ({ suspendedReason: "Lost." }) }, "resume");
    expect(out).toBe("The ledger grants again. It had stopped: Lost.\n");
    await weir?.close();
    expect((await run({ resumeQuota: () => ({}) }, "resume")).out).toContain("already");
  });

  it("releases what a proxy held, and says what is lost", async () => {
    const asked: object[] = [];
    const lease = { policy: "policies/money", subject: "teams/a", unit: "nano_usd" };
    const releaseQuota = ({ proxyId, force }: { proxyId: string; force: boolean }) => {
      asked.push({ proxyId, force });
      return {
        leases: [
          { ...lease, forfeited: 250_000_000n },
          { policy: "policies/slots", unit: "slots", returned: 3n },
        ],
        leaseCount: 2n,
        reportTime: timestampFromMs(0),
      };
    };
    const { code, out, err } = await run({ releaseQuota }, "release", "local-2");
    expect([code, asked]).toEqual([0, [{ proxyId: "local-2", force: false }]]);
    const [, first, second] = out.split("\n");
    expect(first).toMatch(/^policies\/money +teams\/a +\$0\.25 +-$/);
    expect(second).toMatch(/^policies\/slots +all +- +3/);
    expect(err).toContain("local-2 reported last at 1970-01-01 00:00:00 UTC");
    await weir?.close();
    await run({ releaseQuota }, "release", "--force", "local-2");
    expect(asked.at(-1)).toEqual({ proxyId: "local-2", force: true });
    await weir?.close();
    const nothing = await run({ releaseQuota: () => ({}) }, "release", "local-2");
    expect(nothing.out).toBe("local-2 held nothing. It reported never.\n");
  });

  for (const args of [
    ["release"],
    ["release", "a", "b"],
    ["policies/a", "--force"],
    ["money"],
    ["policies/a", "policies/b"],
    ["-n", "0"],
    ["-o", "yaml"],
  ]) {
    it(`refuses ${args.join(" ")}`, async () => {
      const ran = await run({}, ...args);
      expect([ran.code, ran.out]).toEqual([2, ""]);
    });
  }
});
