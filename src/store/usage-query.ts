import type { LedgerScope } from "./ledger-scope.ts";
import { writeScope } from "./ledger-scope.ts";
import type { SqlRow, SqlSession } from "./sql-session.ts";
import { Bindings, readInteger } from "./sql-session.ts";

/** What to group by, and how the answer names it. */
export type UsageColumn = "team" | "key" | "user" | "model" | "provider" | "label" | "time";

/** A step of time, in UTC. */
export type UsageStep = "minute" | "hour" | "day" | "month";

export interface UsageInput {
  readonly scope: LedgerScope;
  readonly columns: readonly UsageColumn[];
  readonly label: string;
  readonly step: UsageStep;
  readonly offset: number;
  readonly limit: number;
}

/**
 * Sums by group: the columns by their names, and each of `usageSums` as decimal text, exact beyond
 * 2^53.
 */
export async function sumUsage(session: SqlSession, input: UsageInput): Promise<readonly SqlRow[]> {
  const bindings = new Bindings();
  const byTime = input.columns.includes("time");
  const byMonth = byTime && input.step === "month";
  const months = byMonth ? await listMonths(session, input.scope) : [];
  if (byMonth && months.length === 0) return [];

  const groups = input.columns.map((column) => `${groupText(column, input.step)} AS g_${column}`);
  const sums = Object.entries(usageSums).map(
    ([name, text]) => `CAST(COALESCE(${text}, 0) AS TEXT) AS ${name}`,
  );
  const label = input.columns.includes("label")
    ? "LEFT JOIN request_labels g ON g.request_id = r.request_id " +
      `AND g.label_key = ${bindings.bind(input.label)}`
    : "";
  const { from, where, time } = writeScope(input.scope, bindings);
  const parts = [
    byMonth ? `WITH months (begin_ms, end_ms) AS (VALUES ${months.join(", ")})` : "",
    `SELECT ${[...groups, ...sums].join(", ")}`,
    // The months come first, so that each is a range of the index on time.
    byMonth ? `FROM months CROSS JOIN ${from}` : `FROM ${from}`,
    label,
    `WHERE ${where}`,
    byMonth ? `AND ${time} >= months.begin_ms AND ${time} < months.end_ms` : "",
    groups.length > 0 ? `GROUP BY ${groups.map((_, index) => index + 1).join(", ")}` : "",
    `ORDER BY ${orderText(input.columns)}`,
    `LIMIT ${bindings.bind(input.limit)} OFFSET ${bindings.bind(input.offset)}`,
  ];
  return session.rows(parts.join(" "), bindings.values);
}

/** Every sum of an answer, and how it is made. */
export const usageSums = {
  requests: "COUNT(*)",
  errors: "SUM(CASE WHEN r.error_reason <> '' THEN 1 ELSE 0 END)",
  input_tokens: "SUM(r.input_tokens)",
  cache_read_tokens: "SUM(r.cache_read_tokens)",
  cache_write_tokens: "SUM(r.cache_write_tokens + r.cache_write_1h_tokens)",
  input_audio_tokens: "SUM(r.input_audio_tokens)",
  output_tokens: "SUM(r.output_tokens)",
  reasoning_tokens: "SUM(r.reasoning_tokens)",
  output_audio_tokens: "SUM(r.output_audio_tokens)",
  cost_nano_usd: "SUM(r.cost_nano_usd)",
  unpriced_requests: "SUM(CASE WHEN r.cost_known = 0 THEN 1 ELSE 0 END)",
  latency_us: "SUM(r.latency_us)",
} as const;

const stepMs = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;

/**
 * Steps are written into the text: an engine may take a parameter for a float, and divide
 * otherwise.
 */
function groupText(column: UsageColumn, step: UsageStep): string {
  switch (column) {
    case "team":
    case "model":
    case "provider":
      return `r.${column}`;
    case "key":
    case "user":
      return `r.${column}_name`;
    case "label":
      return "COALESCE(g.label_value, '')";
    case "time":
      return step === "month"
        ? "months.begin_ms"
        : `(r.start_ms / ${stepMs[step]}) * ${stepMs[step]}`;
    default:
      return column satisfies never;
  }
}

/**
 * By time when grouped by it, then costliest first; the groups last, so that pages do not overlap.
 */
function orderText(columns: readonly UsageColumn[]): string {
  const position = (column: UsageColumn) => String(columns.indexOf(column) + 1);
  const rest = columns.filter((column) => column !== "time").map(position);
  const time = columns.includes("time") ? [position("time")] : [];
  return [...time, "COALESCE(SUM(r.cost_nano_usd), 0) DESC", ...rest].join(", ");
}

/**
 * The months that a scope reaches over, as rows of VALUES. A month is no fixed number of
 * milliseconds, and each engine has other functions for it; its bounds are worked out here instead.
 */
async function listMonths(session: SqlSession, scope: LedgerScope): Promise<readonly string[]> {
  const bounds = [
    await findBound(session, scope, "ASC"),
    await findBound(session, scope, "DESC"),
  ] as const;
  const [first, last] = bounds;
  if (first === undefined || last === undefined) return [];
  const months: string[] = [];
  const begin = new Date(first);
  let year = begin.getUTCFullYear();
  let month = begin.getUTCMonth();
  for (let beginMs = Date.UTC(year, month); beginMs <= last; ) {
    month += 1;
    if (month === 12) {
      month = 0;
      year += 1;
    }
    const endMs = Date.UTC(year, month);
    months.push(`(${beginMs}, ${endMs})`);
    beginMs = endMs;
  }
  return months;
}

/**
 * The first or the last time within the bounds of a scope: one step on the index, whatever else the
 * scope asks.
 */
async function findBound(
  session: SqlSession,
  scope: LedgerScope,
  order: "ASC" | "DESC",
): Promise<number | undefined> {
  const bindings = new Bindings();
  const { startMs, endMs } = scope;
  const { where } = writeScope({ ...everything, startMs, endMs }, bindings);
  const [row] = await session.rows(
    `SELECT r.start_ms FROM requests r WHERE ${where}
     ORDER BY r.start_ms ${order} LIMIT 1`,
    bindings.values,
  );
  return row && readInteger(row, "start_ms");
}

const everything: LedgerScope = {
  startMs: undefined,
  endMs: undefined,
  teams: [],
  keys: [],
  users: [],
  models: [],
  providers: [],
  labels: [],
  onlyErrors: false,
};
