import type { LedgerScope } from "./ledger-scope.ts";
import { writeScope } from "./ledger-scope.ts";
import type { SqlRow, SqlSession } from "./sql-session.ts";
import { Bindings, readInteger } from "./sql-session.ts";
import { rollupGroups, rollupSums, rollupTables } from "./usage-rollup.ts";
import type { UsageSegment } from "./usage-segments.ts";
import { cutSpan } from "./usage-segments.ts";

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
 * Sums by group: the columns by their names, and each of `rollupSums` as decimal text, exact beyond
 * 2^53. What hours and days can answer is read from their sums; labels, errors alone and minutes
 * from the requests themselves.
 */
export async function sumUsage(session: SqlSession, input: UsageInput): Promise<readonly SqlRow[]> {
  const bindings = new Bindings();
  const byMonth = input.columns.includes("time") && input.step === "month";
  const months = byMonth ? await listMonths(session, input) : [];
  if (byMonth && months.length === 0) return [];

  const groups = input.columns.map((column) => `${groupText(column, input.step)} AS g_${column}`);
  const source = writeSource(input, bindings);
  const sums = Object.entries(source.sums).map(
    ([name, text]) => `CAST(COALESCE(SUM(${text}), 0) AS TEXT) AS ${name}`,
  );
  const parts = [
    byMonth ? `WITH months (begin_ms, end_ms) AS (VALUES ${months.join(", ")})` : "",
    `SELECT ${[...groups, ...sums].join(", ")}`,
    // The months come first, so that each is a range of the index on time.
    byMonth ? `FROM months CROSS JOIN ${source.from}` : `FROM ${source.from}`,
    `WHERE ${source.where}`,
    byMonth ? `AND ${source.time} >= months.begin_ms AND ${source.time} < months.end_ms` : "",
    groups.length > 0 ? `GROUP BY ${groups.map((_, index) => index + 1).join(", ")}` : "",
    `ORDER BY ${orderText(input.columns)}`,
    `LIMIT ${bindings.bind(input.limit)} OFFSET ${bindings.bind(input.offset)}`,
  ];
  return session.rows(parts.join(" "), bindings.values);
}

/** Where a question's rows come from: each a request, or the sum of several. */
interface UsageSource {
  readonly from: string;
  readonly where: string;
  readonly time: string;
  /** What to add up, by name. */
  readonly sums: Readonly<Record<keyof typeof rollupSums, string>>;
}

/** What the sums of hours and days do not know. */
function needsRequests({ scope, columns, step }: UsageInput): boolean {
  if (scope.labels.length > 0 || scope.onlyErrors || columns.includes("label")) return true;
  return columns.includes("time") && step === "minute";
}

function writeSource(input: UsageInput, bindings: Bindings): UsageSource {
  if (needsRequests(input)) {
    const label = input.columns.includes("label")
      ? " LEFT JOIN request_labels g ON g.request_id = r.request_id " +
        `AND g.start_ms = r.start_ms AND g.label_key = ${bindings.bind(input.label)}`
      : "";
    const { from, where, time } = writeScope(input.scope, bindings);
    return { from: `${from}${label}`, where, time, sums: rollupSums };
  }
  const { scope, columns, step } = input;
  const segments = cutSpan(scope, columns.includes("time") && step === "hour" ? "hour" : "day");
  const selects = segments.map((segment) => writeSegment(scope, segment, bindings));
  if (selects.length === 0) {
    selects.push(writeSegment(scope, { table: "requests", startMs: 0, endMs: 0 }, bindings));
  }
  return {
    from: `(${selects.join(" UNION ALL ")}) r`,
    where: "1 = 1",
    time: "r.start_ms",
    sums: columnsOfSums,
  };
}

function writeSegment(scope: LedgerScope, segment: UsageSegment, bindings: Bindings): string {
  const { table } = segment;
  const { where } = writeScope({ ...scope, ...writeBounds(segment) }, bindings);
  const sums = Object.entries(table === "requests" ? rollupSums : columnsOfSums);
  const columns = [
    ...["start_ms", ...rollupGroups].map((column) => `r.${column}`),
    ...sums.map(([name, text]) => `${text} AS ${name}`),
  ];
  return `SELECT ${columns.join(", ")} FROM ${table} r WHERE ${where}`;
}

function writeBounds({ startMs, endMs }: UsageSegment): Pick<LedgerScope, "startMs" | "endMs"> {
  return {
    startMs: Number.isFinite(startMs) ? startMs : undefined,
    endMs: Number.isFinite(endMs) ? endMs : undefined,
  };
}

/** The sums of a row that is a sum already. */
const columnsOfSums: UsageSource["sums"] = {
  requests: "r.requests",
  errors: "r.errors",
  input_tokens: "r.input_tokens",
  cache_read_tokens: "r.cache_read_tokens",
  cache_write_tokens: "r.cache_write_tokens",
  input_audio_tokens: "r.input_audio_tokens",
  output_tokens: "r.output_tokens",
  reasoning_tokens: "r.reasoning_tokens",
  output_audio_tokens: "r.output_audio_tokens",
  cost_nano_usd: "r.cost_nano_usd",
  unpriced_requests: "r.unpriced_requests",
  latency_us: "r.latency_us",
};

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
async function listMonths(session: SqlSession, input: UsageInput): Promise<readonly string[]> {
  const table = needsRequests(input) ? "requests" : "usage_days";
  const first = await findBound(session, input.scope, { table, order: "ASC" });
  const last = await findBound(session, input.scope, { table, order: "DESC" });
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

interface Bound {
  readonly table: "requests" | "usage_days";
  readonly order: "ASC" | "DESC";
}

/**
 * The first or the last time within the bounds of a scope: one step on the index, whatever else the
 * scope asks. A day is within them when any of it is.
 */
async function findBound(
  session: SqlSession,
  { startMs, endMs }: LedgerScope,
  { table, order }: Bound,
): Promise<number | undefined> {
  const bindings = new Bindings();
  const stepMs = table === "requests" ? 1 : rollupTables[table];
  const first = startMs === undefined ? undefined : Math.floor(startMs / stepMs) * stepMs;
  const { where } = writeScope({ ...everything, startMs: first, endMs }, bindings);
  const [row] = await session.rows(
    `SELECT r.start_ms FROM ${table} r WHERE ${where}
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
