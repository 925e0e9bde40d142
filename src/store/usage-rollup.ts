import type { LedgerRow } from "./ledger-rows.ts";
import { requestColumns } from "./ledger-rows.ts";
import type { SqlSession, SqlValue } from "./sql-session.ts";

/** What sums are kept by, beside the time. */
export const rollupGroups = [
  "team",
  "key_name",
  "user_name",
  "model_asked",
  "model",
  "provider",
] as const;

/** The sums that are kept, each as the requests make it. */
export const rollupSums = {
  requests: "1",
  errors: "CASE WHEN r.error_reason <> '' THEN 1 ELSE 0 END",
  input_tokens: "r.input_tokens",
  cache_read_tokens: "r.cache_read_tokens",
  cache_write_tokens: "r.cache_write_tokens + r.cache_write_1h_tokens",
  input_audio_tokens: "r.input_audio_tokens",
  output_tokens: "r.output_tokens",
  reasoning_tokens: "r.reasoning_tokens",
  output_audio_tokens: "r.output_audio_tokens",
  cost_nano_usd: "r.cost_nano_usd",
  unpriced_requests: "CASE WHEN r.cost_known = 0 THEN 1 ELSE 0 END",
  latency_us: "r.latency_us",
} as const;

/** The tables of sums, each with the step of time that a row of it covers, in milliseconds, UTC. */
export const rollupTables = { usage_hours: 3_600_000, usage_days: 86_400_000 } as const;

/**
 * Adds requests that are new in the ledger to the sums of their hours and days, within the
 * transaction that appends them: both hold the same at any moment. In one order, so that two
 * writers cannot each wait for a row of the other.
 */
export async function addToRollups(session: SqlSession, rows: readonly LedgerRow[]): Promise<void> {
  for (const [table, stepMs] of Object.entries(rollupTables)) {
    const groups = new Map<string, Rollup>();
    for (const row of rows) addRow(groups, row, stepMs);
    const sorted = [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
    await session.runEach(
      upsert(table),
      sorted.map(([, { names, sums }]) => [...names, ...sums]),
    );
  }
}

interface Rollup {
  readonly names: readonly SqlValue[];
  readonly sums: bigint[];
}

function addRow(groups: Map<string, Rollup>, row: LedgerRow, stepMs: number): void {
  const value = (column: (typeof requestColumns)[number]) =>
    row.values[requestColumns.indexOf(column)] ?? 0;
  const integer = (column: (typeof requestColumns)[number]) => BigInt(String(value(column)));
  const startMs = Math.floor(row.startMs / stepMs) * stepMs;
  const names = [startMs, ...rollupGroups.map((column) => value(column))];
  const sums = [
    1n,
    value("error_reason") === "" ? 0n : 1n,
    integer("input_tokens"),
    integer("cache_read_tokens"),
    integer("cache_write_tokens") + integer("cache_write_1h_tokens"),
    integer("input_audio_tokens"),
    integer("output_tokens"),
    integer("reasoning_tokens"),
    integer("output_audio_tokens"),
    integer("cost_nano_usd"),
    value("cost_known") === 0 ? 1n : 0n,
    integer("latency_us"),
  ];
  const key = JSON.stringify(names);
  const known = groups.get(key);
  if (known === undefined) groups.set(key, { names, sums });
  else
    for (const [index, sum] of sums.entries()) known.sums[index] = (known.sums[index] ?? 0n) + sum;
}

function upsert(table: string): string {
  const groups = ["start_ms", ...rollupGroups];
  const sums = Object.keys(rollupSums);
  const columns = [...groups, ...sums];
  const places = columns.map((_, index) => `$${index + 1}`);
  const added = sums.map((sum) => `${sum} = ${table}.${sum} + excluded.${sum}`);
  return (
    `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${places.join(", ")}) ` +
    `ON CONFLICT (${groups.join(", ")}) DO UPDATE SET ${added.join(", ")}`
  );
}
