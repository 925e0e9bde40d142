import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Dimension, type Policy, PolicySchema } from "../../gen/weir/admin/v1/policy_pb.ts";
import {
  LeaseGrant_Refusal,
  type QuotaReply,
  QuotaReportSchema,
} from "../../gen/weir/link/v1/link_service_pb.ts";
import { eventually } from "../../test/support/eventually.ts";
import type { Recall } from "../mesh/hub.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import type { QuotaReportInput, QuotaReportOutcome } from "../store/quota-report.ts";
import type { QuotaStore } from "../store/quota-store.ts";
import { openSqliteStore, type SqliteStore } from "../store/sqlite-store.ts";
import type { BudgetReading } from "./quota-alerts.ts";
import { createQuotaLedger, type QuotaLedger } from "./quota-ledger.ts";

type Report = MessageInitShape<typeof QuotaReportSchema>;

const bucket = "policies/p|requests:lifetime|";

function budget(limit: bigint, more: MessageInitShape<typeof PolicySchema> = {}): Policy {
  return create(PolicySchema, {
    name: "policies/p",
    rule: {
      case: "budget",
      value: {
        dimension: Dimension.REQUESTS,
        limit,
        window: { window: { case: "lifetime", value: {} } },
        alertPercents: [90],
        alertWebhooks: ["https://example.com/hook"],
      },
    },
    ...more,
  });
}

function ask(sequence: bigint, lease: NonNullable<Report["leases"]>[number]): Report {
  return { sequence, leases: [{ bucket, windowStartMs: -1n, ...lease }] };
}

/** A store of which a test says when it answers. */
class SlowStore {
  readonly asked: QuotaReportInput[] = [];
  readonly answers: ((outcome: QuotaReportOutcome) => void)[] = [];

  reportQuota = (input: QuotaReportInput): Promise<QuotaReportOutcome> => {
    this.asked.push(input);
    return new Promise((resolve) => this.answers.push(resolve));
  };
}

const nothing: QuotaReportOutcome = {
  outcome: "answered",
  grants: [],
  recalls: [],
  violations: [],
  suspended: undefined,
};

describe("the quota ledger of a control", () => {
  let directory: string;
  let store: SqliteStore;
  let clock: VirtualClock;
  let policies: Map<string, Policy>;
  let faults: string[];
  let readings: BudgetReading[];
  let ledgers: QuotaLedger[];

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "weir-quota-"));
    store = await openSqliteStore({ path: join(directory, "weir.db") });
    await store.migrate();
    clock = new VirtualClock();
    policies = new Map([["policies/p", budget(100n)]]);
    faults = [];
    readings = [];
    ledgers = [];
  });
  afterEach(async () => {
    for (const ledger of ledgers) ledger.close();
    await store.close();
    rmSync(directory, { recursive: true });
  });

  function open(over: Partial<QuotaStore> = {}, shared = false): QuotaLedger {
    const ledger = createQuotaLedger({
      store: {
        reportQuota: over.reportQuota ?? ((input) => store.reportQuota(input)),
        quotaStatus: (query) => store.quotaStatus(query),
        recalledQuota: (query) => store.recalledQuota(query),
        quotaSuspension: () => store.quotaSuspension(),
        resumeQuota: () => store.resumeQuota(),
        releaseQuota: (input) => store.releaseQuota(input),
        expireQuota: over.expireQuota ?? ((order) => store.expireQuota(order)),
      },
      clock,
      findPolicy: (name) => policies.get(name),
      onFault: (text) => faults.push(text),
      onReadings: (found) => readings.push(...found),
      shared,
    });
    ledgers.push(ledger);
    return ledger;
  }

  function send(ledger: QuotaLedger, report: Report, proxyId = "one", epoch = 1) {
    return ledger.reportQuota({ proxyId, epoch }, create(QuotaReportSchema, report));
  }

  function only({ leases, unavailable }: QuotaReply) {
    const [lease] = leases;
    if (lease === undefined) throw new Error(unavailable);
    return lease;
  }

  it("grants by the policy of the bucket, in one transaction of the store", async () => {
    const ledger = open();
    const reply = await send(ledger, ask(1n, { need: 30n }));
    expect(reply.sequence).toBe(1n);
    expect(only(reply)).toMatchObject({
      bucket,
      windowStartMs: 0n,
      windowEndsInMs: -1n,
      granted: 30n,
      ceiling: 100n,
      remaining: 70n,
      refusal: LeaseGrant_Refusal.UNSPECIFIED,
    });
    expect(ledger.counters).toEqual({ reports: 1, unavailable: 0, violations: 0 });
  });

  it("says that a limit is gone when its policy is, is disabled, or counts something else", async () => {
    const ledger = open();
    const other = budget(100n);
    if (other.rule.case === "budget") other.rule.value.dimension = Dimension.TOKENS;
    for (const [index, policy] of [undefined, budget(1n, { disabled: true }), other].entries()) {
      if (policy === undefined) policies.delete("policies/p");
      else policies.set("policies/p", policy);
      const reply = await send(ledger, ask(BigInt(index + 1), { need: 1n }));
      expect(only(reply).refusal).toBe(LeaseGrant_Refusal.GONE);
    }
  });

  it("is unavailable when the store does not answer for too long", async () => {
    const slow = new SlowStore();
    const ledger = open({ reportQuota: slow.reportQuota });
    const pending = send(ledger, ask(1n, { need: 1n }));
    await clock.advance(2_500);
    expect((await pending).unavailable).toContain("does not answer");
    expect(ledger.counters).toMatchObject({ reports: 1, unavailable: 1 });
  });

  it("does not ask a slow store twice for a report that comes again", async () => {
    const slow = new SlowStore();
    const ledger = open({ reportQuota: slow.reportQuota });
    const pending = send(ledger, ask(1n, { need: 1n }));
    await clock.advance(2_500);
    expect((await pending).unavailable).toContain("does not answer");
    const again = send(ledger, ask(1n, { need: 1n }));
    await clock.advance(500);
    slow.answers[0]?.(nothing);
    expect((await again).unavailable).toBe("");
    expect(slow.asked).toHaveLength(1);
  });

  it("keeps an answer that came too late for the report that comes again", async () => {
    const slow = new SlowStore();
    const ledger = open({ reportQuota: slow.reportQuota });
    const pending = send(ledger, ask(1n, { need: 1n }));
    await clock.advance(2_500);
    await pending;
    slow.answers[0]?.(nothing);
    await clock.advance(0);
    expect((await send(ledger, ask(1n, { need: 1n }))).unavailable).toBe("");
    expect(slow.asked).toHaveLength(1);
    // A later start of the proxy counts from 1 again: that is another report.
    const other = send(ledger, ask(1n, { need: 1n }), "one", 2);
    slow.answers[1]?.(nothing);
    await other;
    expect(slow.asked).toHaveLength(2);
  });

  it("asks the store anew when the answer that came too late was a failure", async () => {
    const failing: ((reason: Error) => void)[] = [];
    const reportQuota = (input: QuotaReportInput): Promise<QuotaReportOutcome> =>
      failing.length > 0
        ? store.reportQuota(input)
        : new Promise((_, reject) => failing.push(reject));
    const ledger = open({ reportQuota });
    const pending = send(ledger, ask(1n, { need: 30n }));
    await clock.advance(2_500);
    await pending;
    failing[0]?.(new Error("disk I/O error"));
    await clock.advance(0);
    expect(only(await send(ledger, ask(1n, { need: 30n }))).granted).toBe(30n);
  });

  it("keeps reports of different proxies apart", async () => {
    const slow = new SlowStore();
    const ledger = open({ reportQuota: slow.reportQuota });
    const first = send(ledger, ask(1n, {}), "one");
    const second = send(ledger, ask(1n, {}), "two");
    expect(slow.asked.map(({ proxyId }) => proxyId)).toEqual(["one", "two"]);
    for (const answer of slow.answers) answer(nothing);
    await Promise.all([first, second]);
  });

  it("is unavailable when the store fails, and tells of it once", async () => {
    let failing = true;
    const reportQuota: QuotaStore["reportQuota"] = (input) =>
      failing ? Promise.reject(new Error("disk full")) : store.reportQuota(input);
    const ledger = open({ reportQuota });
    for (let tries = 0; tries < 3; tries += 1) {
      const reply = await send(ledger, ask(1n, { need: 1n }));
      expect(reply).toMatchObject({ sequence: 1n, unavailable: "The ledger cannot be written." });
    }
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain("disk full");
    failing = false;
    expect(only(await send(ledger, ask(1n, { need: 1n }))).granted).toBe(1n);
  });

  it("does not book amounts that are none", async () => {
    const reply = await send(open(), ask(1n, { need: 2n ** 60n }));
    expect(reply.unavailable).not.toBe("");
    expect(faults[0]).toContain("beyond 2^53");
  });

  it("answers on when more is said to be spent than can be counted", async () => {
    const ledger = open();
    const most = BigInt(Number.MAX_SAFE_INTEGER);
    const spent = { windowStartMs: 0n, granted: 1n, confirmed: most };
    const proxies = ["one", "two"];
    for (const proxy of proxies) await send(ledger, ask(1n, { need: 1n }), proxy);
    for (const proxy of proxies) await send(ledger, ask(2n, spent), proxy);
    for (const proxy of proxies) {
      const reply = await send(ledger, ask(3n, { ...spent, need: most }), proxy);
      expect(only(reply)).toMatchObject({ refusal: LeaseGrant_Refusal.EXHAUSTED, remaining: 0n });
    }
  });

  const farAway = [9_007_199_254_740_000n, -2n, 253_402_300_800_000n];
  for (const windowStartMs of farAway) {
    it(`does not look for a window that begins at ${windowStartMs}`, async () => {
      const reply = await send(open(), ask(1n, { windowStartMs, granted: 1n }));
      expect(reply.unavailable).not.toBe("");
      expect(faults[0]).toContain("No window begins");
    });
  }

  it("does not answer an earlier start of a proxy", async () => {
    const ledger = open();
    await send(ledger, ask(1n, { need: 1n }), "one", 2);
    const reply = await send(ledger, ask(1n, { need: 1n }), "one", 1);
    expect(reply.unavailable).toContain("later start");
  });

  it("recalls at once from the others what one needs", async () => {
    const ledger = open();
    const recalls: Recall[] = [];
    const stop = ledger.onRecall((recall) => recalls.push(recall));
    await send(ledger, ask(1n, { need: 90n }), "one");
    const reply = await send(ledger, ask(1n, { need: 20n }), "two");
    expect(only(reply).refusal).toBe(LeaseGrant_Refusal.RECALLING);
    expect(recalls).toEqual([{ buckets: [bucket], except: "two" }]);
    stop();
    await send(ledger, ask(2n, { need: 20n }), "two");
    expect(recalls).toHaveLength(1);
  });

  it("recalls what proxies of another control need", async () => {
    const [here, there] = [open({}, true), open({}, true)];
    const recalls: Recall[] = [];
    here.onRecall((recall) => recalls.push(recall));
    await send(here, ask(1n, { need: 90n }), "one");
    await send(there, ask(1n, { need: 20n }), "two");
    await eventually(async () => {
      await clock.advance(250);
      expect(recalls).toEqual([{ buckets: [bucket], except: "two" }]);
    });
  });

  it("recalls what a lowered limit no longer covers, and nothing after a raise", async () => {
    const ledger = open();
    const recalls: Recall[] = [];
    ledger.onRecall((recall) => recalls.push(recall));
    await send(ledger, ask(1n, { need: 90n }));
    policies.set("policies/p", budget(200n));
    ledger.policiesChanged();
    policies.set("policies/p", budget(50n));
    ledger.policiesChanged();
    await eventually(() => expect(recalls).toEqual([{ buckets: [bucket], except: "" }]));
    const held = { windowStartMs: 0n, granted: 90n };
    const reply = only(await send(ledger, ask(2n, held)));
    expect(reply).toMatchObject({ recalled: true, ceiling: 50n, remaining: 0n });
  });

  it("recalls what was leased of a policy that is gone", async () => {
    const ledger = open();
    const recalls: Recall[] = [];
    ledger.onRecall((recall) => recalls.push(recall));
    await send(ledger, ask(1n, { need: 90n }));
    policies.clear();
    ledger.policiesChanged();
    await eventually(() => expect(recalls).toEqual([{ buckets: [bucket], except: "" }]));
  });

  it("says loudly when the ledger has lost something", async () => {
    const ledger = open();
    await send(ledger, ask(1n, { windowStartMs: 0n, granted: 30n }));
    expect(faults.join()).toMatch(/suspended.*one was granted 30.*ResumeQuota/);
    const reply = await send(ledger, ask(2n, { need: 1n }));
    expect(only(reply).refusal).toBe(LeaseGrant_Refusal.SUSPENDED);
  });

  it("counts sums that do not add up, and tells of them", async () => {
    const violations = ["a bucket counts wrong"];
    const ledger = open({ reportQuota: async () => ({ ...nothing, violations }) });
    await send(ledger, ask(1n, {}));
    expect(ledger.counters.violations).toBe(1);
    expect(faults[0]).toContain("a bucket counts wrong");
  });

  it("tells what budgets stand at, for alerts", async () => {
    const ledger = open();
    await send(ledger, ask(1n, { need: 90n }));
    await send(ledger, ask(2n, { windowStartMs: 0n, granted: 90n, confirmed: 85n, need: 100n }));
    expect(readings[1]).toEqual({
      bucket,
      policy: "policies/p",
      subject: "",
      unit: "requests",
      windowStartMs: 0,
      windowEndMs: null,
      ceiling: 100,
      spent: 85,
      exhausted: true,
      percents: [90],
      urls: ["https://example.com/hook"],
    });
  });

  it("forgets windows that ended more than 400 days ago, some at a time", async () => {
    const orders: number[] = [];
    const expireQuota: QuotaStore["expireQuota"] = async ({ beforeMs, limit }) => {
      orders.push(clock.wallMs() - beforeMs);
      return orders.length === 1 ? limit : 0;
    };
    open({ expireQuota });
    await clock.advance(3_600_000);
    expect(orders).toEqual([400 * 86_400_000, 400 * 86_400_000]);
  });
});
