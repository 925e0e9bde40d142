import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readRecent } from "./ledger-reads.ts";
import type { LedgerScope } from "./ledger-scope.ts";
import { applyNextMigration, loadMigrations } from "./migrations.ts";
import type { SqlSession } from "./sql-session.ts";
import { SqliteEngine } from "./sqlite-engine.ts";
import type { UsageInput } from "./usage-query.ts";
import { sumUsage } from "./usage-query.ts";

describe("plans of the ledger's queries", () => {
  const directory = mkdtempSync(join(tmpdir(), "weir-plans-"));
  const engine = new SqliteEngine(join(directory, "x.db"), { readOnly: false, busyTimeoutMs: 20 });
  const plans: string[] = [];
  /**
   * Notes how the engine goes about each query, instead of what it finds; one row keeps the
   * operations going.
   */
  const session: SqlSession = {
    rows(sql, values = []) {
      const plan = engine.rows(`EXPLAIN QUERY PLAN ${sql}`, values);
      plans.push(plan.map((row) => row.detail).join("; "));
      return [{ start_ms: 1_700_000_000_000, record: new Uint8Array() }];
    },
    run: () => 0,
    runEach: () => [],
    script: () => undefined,
    hasTable: () => true,
  };
  const explain = async (query: () => Promise<unknown>) => {
    plans.length = 0;
    await query();
    return plans.at(-1);
  };

  beforeAll(async () => {
    const migrations = loadMigrations(new URL("./migrations/", import.meta.url), "sqlite");
    while ((await applyNextMigration(engine, { migrations, atMs: 0 })) !== undefined);
  });
  afterAll(() => {
    engine.close();
    rmSync(directory, { recursive: true });
  });

  const recent: readonly [string, Partial<LedgerScope>, string][] = [
    ["everything", {}, "requests_by_time"],
    ["one team", { teams: ["teams/a"] }, "requests_by_team"],
    ["one key", { keys: ["teams/a/keys/b"] }, "requests_by_key"],
    ["a label", { labels: [["app", "x"]] }, "request_labels_by_value"],
  ];
  for (const [name, scope, index] of recent) {
    it(`read the newest of ${name} along ${index}, without sorting`, async () => {
      const plan = await explain(() =>
        readRecent(session, { scope: createScope(scope), limit: 10 }),
      );
      expect(plan).toContain(index);
      expect(plan).not.toContain("TEMP B-TREE FOR ORDER BY");
    });
  }

  const sums: readonly [string, Partial<UsageInput>, string][] = [
    ["a span of time", {}, "requests_by_time (start_ms>? AND start_ms<?)"],
    [
      "months",
      { columns: ["time"], step: "month" },
      "requests_by_time (start_ms>? AND start_ms<?)",
    ],
    [
      "a team in a span of time",
      { scope: createScope({ startMs: 1, endMs: 2, teams: ["a", "b"] }) },
      "requests_by_team (team=? AND start_ms>? AND start_ms<?)",
    ],
    [
      "a label in a span of time",
      { scope: createScope({ startMs: 1, endMs: 2, labels: [["app", "x"]] }) },
      "(label_key=? AND label_value=? AND start_ms>? AND start_ms<?)",
    ],
  ];
  for (const [name, input, index] of sums) {
    it(`add up ${name} along an index`, async () => {
      const scope = createScope({ startMs: 1, endMs: 2 });
      const defaults = {
        scope,
        columns: [],
        label: "app",
        step: "day",
        offset: 0,
        limit: 10,
      } as const;
      const plan = await explain(() => sumUsage(session, { ...defaults, ...input }));
      expect(plan).toContain(index);
    });
  }
});

function createScope(more: Partial<LedgerScope>): LedgerScope {
  return {
    startMs: undefined,
    endMs: undefined,
    teams: [],
    keys: [],
    users: [],
    models: [],
    providers: [],
    labels: [],
    onlyErrors: false,
    ...more,
  };
}
