import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadMigrations } from "./migrations.ts";
import { findRefused } from "./quota-crowd.ts";
import { reportQuota } from "./quota-operation.ts";
import type { QuotaReportInput, QuotaTerms } from "./quota-report.ts";
import { SqliteEngine } from "./sqlite-engine.ts";

const migrations = loadMigrations(new URL("./migrations/", import.meta.url), "sqlite");
const terms: QuotaTerms = {
  kind: "budget",
  amount: 100,
  periodMs: 0,
  burst: 0,
  window: { kind: "lifetime" },
};

function potOf(subject: string, policy = "p"): string {
  return `policies/${policy}|requests:lifetime|${subject}`;
}

function ask(buckets: readonly string[], sequence = 1): QuotaReportInput {
  const nothing = { granted: 0, confirmed: 0, returned: 0, outstanding: 0, levelReturned: 0 };
  return {
    ...{ proxyId: "a", epoch: 1, sequence, previousEpoch: 0, atMs: 0, confessions: [] },
    leases: buckets.map((bucket) => ({ bucket, windowStartMs: -1, ...nothing, want: 0, need: 1 })),
    terms: new Map(buckets.map((bucket) => [bucket, terms])),
  };
}

describe("pots by the values of a label", () => {
  let engine: SqliteEngine;
  beforeEach(() => {
    engine = new SqliteEngine(":memory:", { readOnly: false, busyTimeoutMs: 0 });
    for (const { sql } of migrations) engine.script(sql);
  });
  afterEach(() => engine.close());

  it("are no more than there may be, and those that are there stay", async () => {
    const [one, two, three] = ["case=1", "case=2", "case=|3"].map((each) => potOf(each));
    const all = [one ?? "", two ?? "", three ?? ""];
    await reportQuota(engine, ask(all.slice(0, 1)));
    expect(await findRefused(engine, ask(all), 2)).toEqual(new Set([three]));
    await reportQuota(engine, ask(all.slice(0, 2), 2));
    expect(await findRefused(engine, ask(all), 2)).toEqual(new Set([three]));
    expect(await findRefused(engine, ask(all), 1)).toEqual(new Set([three]));
    expect(await findRefused(engine, ask([potOf("case=3", "other")]), 1)).toEqual(new Set());
  });

  it("are told apart from those of teams, people and keys", async () => {
    const others = ["", "(none)", "users/a=b", "teams/a", "teams/a/keys/b=c"].map((subject) =>
      potOf(subject),
    );
    expect(await findRefused(engine, ask(others), 0)).toEqual(new Set());
  });

  it("leave no row and get nothing once there are 50,000", async () => {
    engine.script(
      `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
       INSERT INTO quota_buckets SELECT 'policies/p|requests:lifetime|case=' || i, 'policies/p',
         'case=' || i, 'budget', 'requests', 100, 0, -1, 0, '', 0, 0, 0 FROM n`,
    );
    const outcome = await reportQuota(engine, ask([potOf("case=new"), potOf("case=7")]));
    expect(outcome).toMatchObject({
      grants: [
        { refusal: "full", granted: 0, ceiling: 0, windowStartMs: -1, windowEndsInMs: -1 },
        { refusal: "none", granted: 1 },
      ],
    });
    const rows = engine.rows("SELECT COUNT(*) AS n FROM quota_buckets");
    expect(rows[0]?.n).toBe(50_000);
  });
});
