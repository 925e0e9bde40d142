import type { LedgerRow } from "./ledger-rows.ts";
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
  const hours = new Rollups();
  for (const row of rows) hours.addRow(row, floorTo(rollupTables.usage_hours, row.startMs));
  const days = new Rollups();
  for (const { startMs, names, sums } of hours.all()) {
    days.add(floorTo(rollupTables.usage_days, startMs), names, sums);
  }
  await session.runEach(upsertHours, hours.listSorted());
  await session.runEach(upsertDays, days.listSorted());
}

type Sum = number | bigint;

interface Rollup {
  readonly startMs: number;
  readonly names: readonly string[];
  readonly sums: Sum[];
}

/** Sums by time and names, in the order of `rollupGroups` and `rollupSums`. */
class Rollups {
  readonly #groups = new Map<string, Rollup>();

  all(): Iterable<Rollup> {
    return this.#groups.values();
  }

  addRow(row: LedgerRow, startMs: number): void {
    const names = [row.team, row.key, row.user, row.modelAsked, row.model, row.provider];
    this.add(startMs, names, [
      1,
      row.errorReason === "" ? 0 : 1,
      row.inputTokens,
      row.cacheReadTokens,
      row.cacheWriteTokens + row.cacheWrite1hTokens,
      row.inputAudioTokens,
      row.outputTokens,
      row.reasoningTokens,
      row.outputAudioTokens,
      row.costNanoUsd,
      row.costKnown ? 0 : 1,
      row.latencyUs,
    ]);
  }

  add(startMs: number, names: readonly string[], added: readonly Sum[]): void {
    const id = identify(startMs, names);
    const known = this.#groups.get(id);
    if (known === undefined) {
      this.#groups.set(id, { startMs, names, sums: [...added] });
      return;
    }
    const { sums } = known;
    for (let at = 0; at < added.length; at++) sums[at] = addExactly(sums[at] ?? 0, added[at] ?? 0);
  }

  /** The values of each group, in an order that all writers keep. */
  listSorted(): SqlValue[][] {
    const sorted = [...this.#groups].sort(([a], [b]) => (a < b ? -1 : 1));
    return sorted.map(([, { startMs, names, sums }]) => [startMs, ...names, ...sums]);
  }
}

/** Lengths stand before names, so that no two groups look alike by where one name ends. */
function identify(startMs: number, names: readonly string[]): string {
  let id = `${startMs}`;
  for (const name of names) id += `,${name.length},${name}`;
  return id;
}

function addExactly(a: Sum, b: Sum): Sum {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    if (Number.isSafeInteger(sum)) return sum;
  }
  return BigInt(a) + BigInt(b);
}

function floorTo(stepMs: number, ms: number): number {
  return Math.floor(ms / stepMs) * stepMs;
}

function upsert(table: keyof typeof rollupTables): string {
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

const upsertHours = upsert("usage_hours");
const upsertDays = upsert("usage_days");
