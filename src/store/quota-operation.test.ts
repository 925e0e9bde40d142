import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LimitWindow } from "../mesh/limit.ts";
import { findWindow } from "../mesh/window.ts";
import { loadMigrations } from "./migrations.ts";
import { reportQuota } from "./quota-operation.ts";
import type { QuotaReportInput, QuotaTerms, ReportedConfession } from "./quota-report.ts";
import { SqliteEngine } from "./sqlite-engine.ts";

const migrations = loadMigrations(new URL("./migrations/", import.meta.url), "sqlite");
const HOUR = 3_600_000;
const START = Date.UTC(2026, 2, 28, 7);

/** A lease as its proxy counts it. Everything that is spent is spent at once. */
interface Held {
  granted: number;
  confirmed: number;
  returned: number;
}

/** A proxy that keeps to the protocol: stop and wait, totals, confessions. */
class ModelProxy {
  readonly id: string;
  epoch = 1;
  sequence = 0;
  previousEpoch = 0;
  readonly leases = new Map<number, Held>();
  /** Sent and not answered: sent again as it is. */
  flight: QuotaReportInput | undefined;
  left: ReportedConfession[] = [];

  constructor(id: string) {
    this.id = id;
  }

  /** What a crash leaves: what was spent, and a little that was only about to be. */
  crash(slack: number, trusted: boolean): void {
    const leases = [...this.leases].flatMap(([windowStartMs, held]) =>
      held.confirmed === 0
        ? []
        : [{ bucket, windowStartMs, usedMax: Math.min(held.granted, held.confirmed + slack) }],
    );
    this.left.push({ epoch: this.epoch, trusted, leases });
    this.leases.clear();
    this.epoch += 1;
    this.sequence = 0;
    this.flight = undefined;
  }
}

const bucket = "policies/p|requests:x|";

const kinds = [
  ...["spend", "spend", "spend", "report", "report", "report", "report", "report", "lose"],
  ...["lose", "wait", "crash"],
] as const;

const anyStep = fc.record({
  what: fc.constantFrom(...kinds),
  who: fc.nat({ max: 2 }),
  amount: fc.integer({ min: 1, max: 30 }),
  flag: fc.boolean(),
});

const windows: readonly LimitWindow[] = [
  { kind: "lifetime" },
  { kind: "calendar", unit: "day", timeZone: "Europe/Berlin" },
  { kind: "rolling", days: 3, timeZone: "Europe/Berlin" },
];

describe("the ledger", () => {
  let engine: SqliteEngine;
  beforeEach(() => {
    engine = new SqliteEngine(":memory:", { readOnly: false, busyTimeoutMs: 0 });
    for (const { sql } of migrations) engine.script(sql);
  });
  afterEach(() => engine.close());

  it("is never overspent, whatever is lost, repeated or killed", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...windows),
        fc.integer({ min: 0, max: 120 }),
        fc.array(anyStep, { minLength: 20, maxLength: 120, size: "max" }),
        async (window, ceiling, steps) => {
          for (const table of ["buckets", "windows", "leases", "proxies", "state"]) {
            engine.script(`DELETE FROM quota_${table}`);
          }
          const terms: QuotaTerms = {
            kind: "budget",
            amount: ceiling,
            periodMs: 0,
            burst: 0,
            window,
          };
          const proxies = [new ModelProxy("a"), new ModelProxy("b"), new ModelProxy("c")];
          /** By the start of its window: what was truly spent. */
          const spent = new Map<number, number>();
          let atMs = START;

          const report = async (proxy: ModelProxy, need: number, back: boolean, lost: boolean) => {
            const current = findWindow(window, atMs);
            for (const [startMs, held] of proxy.leases) {
              const rest = held.granted - held.confirmed - held.returned;
              if (proxy.flight === undefined && (back || startMs !== current.startMs)) {
                held.returned += rest;
              }
            }
            proxy.flight ??= createReport(proxy, { terms, atMs, need });
            const outcome = await reportQuota(engine, { ...proxy.flight, atMs });
            if (outcome.outcome !== "answered") throw new Error(outcome.reason);
            expect(outcome.violations).toEqual([]);
            expect(outcome.suspended).toBeUndefined();
            if (lost) return;
            proxy.flight = undefined;
            proxy.left = [];
            proxy.previousEpoch = proxy.epoch;
            for (const grant of outcome.grants) {
              const held = proxy.leases.get(grant.windowStartMs);
              if (held !== undefined) held.granted = Math.max(held.granted, grant.granted);
              else if (grant.granted > 0) {
                const { granted, confirmed, returned } = grant;
                proxy.leases.set(grant.windowStartMs, { granted, confirmed, returned });
              }
            }
          };

          for (const { what, who, amount, flag } of steps) {
            const proxy = proxies[who];
            if (proxy === undefined) throw new Error("no proxy");
            if (what === "wait") atMs += amount * HOUR;
            else if (what === "crash") proxy.crash(amount % 5, amount % 7 !== 0);
            else if (what === "report") await report(proxy, amount, flag, false);
            else if (what === "lose") await report(proxy, amount, flag, true);
            else {
              const { startMs } = findWindow(window, atMs);
              const held = proxy.leases.get(startMs);
              const rest = held === undefined ? 0 : held.granted - held.confirmed - held.returned;
              if (held === undefined || rest <= 0) continue;
              const some = Math.min(rest, amount);
              held.confirmed += some;
              spent.set(startMs, (spent.get(startMs) ?? 0) + some);
            }
            const { horizonMs } = findWindow(window, atMs);
            const counted = [...spent].filter(([startMs]) => startMs >= horizonMs);
            const sum = counted.reduce((total, [, each]) => total + each, 0);
            expect(sum).toBeLessThanOrEqual(ceiling);
          }
        },
      ),
    );
  });

  it("books a thousand leases in one report within a moment", async () => {
    const buckets = Array.from(
      { length: 1000 },
      (_, index) => `policies/p|requests:day@UTC|${index}`,
    );
    const terms: QuotaTerms = {
      kind: "budget",
      amount: 100,
      periodMs: 0,
      burst: 0,
      window: { kind: "calendar", unit: "day", timeZone: "UTC" },
    };
    const outcome = await reportQuota(engine, {
      proxyId: "many",
      epoch: 1,
      sequence: 1,
      previousEpoch: 0,
      atMs: START,
      confessions: [],
      terms: new Map(buckets.map((name) => [name, terms])),
      leases: buckets.map((name) => ({ ...nothing, bucket: name, windowStartMs: -1, need: 3 })),
    });
    if (outcome.outcome !== "answered") throw new Error(outcome.reason);
    expect(outcome.grants.every(({ granted }) => granted === 3)).toBe(true);
  });
});

const nothing = {
  granted: 0,
  confirmed: 0,
  returned: 0,
  outstanding: 0,
  want: 0,
  need: 0,
  levelReturned: 0,
};

function createReport(
  proxy: ModelProxy,
  ask: { readonly terms: QuotaTerms; readonly atMs: number; readonly need: number },
): QuotaReportInput {
  proxy.sequence += 1;
  const { startMs } = findWindow(ask.terms.window ?? { kind: "lifetime" }, ask.atMs);
  const leases = [...proxy.leases].map(([windowStartMs, held]) => ({
    ...nothing,
    ...held,
    bucket,
    windowStartMs,
    need: windowStartMs === startMs ? ask.need : 0,
  }));
  const asks = proxy.leases.has(startMs)
    ? []
    : [{ ...nothing, bucket, windowStartMs: -1, need: ask.need, want: ask.need * 3 }];
  return {
    proxyId: proxy.id,
    epoch: proxy.epoch,
    sequence: proxy.sequence,
    previousEpoch: proxy.previousEpoch,
    atMs: ask.atMs,
    confessions: proxy.left,
    terms: new Map([[bucket, ask.terms]]),
    leases: [...leases, ...asks],
  };
}
