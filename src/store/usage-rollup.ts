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
    days.addSums(floorTo(rollupTables.usage_days, startMs), names, sums);
  }
  await session.runEach(upsertHours, hours.listSorted());
  await session.runEach(upsertDays, days.listSorted());
}

type Sum = number | bigint;

/** Of a team, a key, a user, the model asked for, the model and the provider. */
type Names = readonly [string, string, string, string, string, string];

interface Rollup {
  readonly startMs: number;
  readonly names: Names;
  readonly sums: Sum[];
}

/** Sums by time and names, in the order of `rollupGroups` and `rollupSums`. */
class Rollups {
  /** By the key's name, which tells most of them apart. */
  readonly #byKey = new Map<string, Rollup[]>();

  *all(): Generator<Rollup> {
    for (const rollups of this.#byKey.values()) yield* rollups;
  }

  addRow(row: LedgerRow, startMs: number): void {
    const { team, key, user, modelAsked, model, provider } = row;
    const { sums } = this.#find(startMs, [team, key, user, modelAsked, model, provider]);
    addTo(sums, 0, 1);
    addTo(sums, 1, row.errorReason === "" ? 0 : 1);
    addTo(sums, 2, row.inputTokens);
    addTo(sums, 3, row.cacheReadTokens);
    addTo(sums, 4, row.cacheWriteTokens + row.cacheWrite1hTokens);
    addTo(sums, 5, row.inputAudioTokens);
    addTo(sums, 6, row.outputTokens);
    addTo(sums, 7, row.reasoningTokens);
    addTo(sums, 8, row.outputAudioTokens);
    addTo(sums, 9, row.costNanoUsd);
    addTo(sums, 10, row.costKnown ? 0 : 1);
    addTo(sums, 11, row.latencyUs);
  }

  addSums(startMs: number, names: Names, added: readonly Sum[]): void {
    const { sums } = this.#find(startMs, names);
    for (let at = 0; at < added.length; at++) addTo(sums, at, added[at] ?? 0);
  }

  /** The values of each group, in an order that all writers keep. */
  listSorted(): SqlValue[][] {
    const sorted = [...this.all()].sort(byTimeAndNames);
    return sorted.map(({ startMs, names, sums }) => [startMs, ...names, ...sums]);
  }

  #find(startMs: number, names: Names): Rollup {
    const rollups = this.#byKey.get(names[1]);
    const known = rollups?.find((each) => each.startMs === startMs && isSame(each.names, names));
    if (known !== undefined) return known;
    const sums = Object.keys(rollupSums).map(() => 0);
    const made: Rollup = { startMs, names, sums };
    if (rollups === undefined) this.#byKey.set(names[1], [made]);
    else rollups.push(made);
    return made;
  }
}

function isSame(a: Names, b: Names): boolean {
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

function byTimeAndNames(a: Rollup, b: Rollup): number {
  if (a.startMs !== b.startMs) return a.startMs - b.startMs;
  for (let at = 0; at < a.names.length; at++) {
    const [one = "", other = ""] = [a.names[at], b.names[at]];
    if (one !== other) return one < other ? -1 : 1;
  }
  return 0;
}

function addTo(sums: Sum[], at: number, added: Sum): void {
  const before = sums[at] ?? 0;
  if (typeof before === "number" && typeof added === "number") {
    const sum = before + added;
    if (Number.isSafeInteger(sum)) {
      sums[at] = sum;
      return;
    }
  }
  sums[at] = BigInt(before) + BigInt(added);
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
