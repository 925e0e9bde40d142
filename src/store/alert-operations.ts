import type { SqlRow, SqlSession } from "./sql-session.ts";
import { Bindings, readInteger, readText } from "./sql-session.ts";

/** A budget has reached a percentage of its ceiling. */
export interface Alert {
  readonly bucket: string;
  readonly windowStartMs: number;
  /** When the window ends; null for never. */
  readonly windowEndMs: number | null;
  readonly percent: number;
  readonly policy: string;
  readonly subject: string;
  readonly unit: string;
  readonly ceiling: number;
  readonly spent: number;
  readonly raisedMs: number;
}

export interface RaiseInput {
  readonly alerts: readonly Alert[];
  /** Whom to tell of each alert, in the same order. */
  readonly urls: readonly (readonly string[])[];
}

/** One alert on its way to one address. */
export interface Delivery {
  readonly alert: Alert;
  readonly url: string;
  /** How often it was tried, this time included. */
  readonly attempts: number;
}

/** Writes alerts that are new, and whom to tell of them; returns the new ones. */
export async function raiseAlerts(
  session: SqlSession,
  { alerts, urls }: RaiseInput,
): Promise<readonly Alert[]> {
  const changed = await session.runEach(
    `INSERT INTO quota_alerts (${alertColumns.join(", ")})
     VALUES (${alertColumns.map((_, index) => `$${index + 1}`).join(", ")})
     ON CONFLICT DO NOTHING`,
    alerts.map((alert) => alertColumns.map((column) => alert[alertFields[column]])),
  );
  const raised = alerts.filter((_, index) => changed[index] === 1);
  const deliveries = alerts.flatMap((alert, index) =>
    changed[index] === 1
      ? [...new Set(urls[index])].map((url) => [
          ...[alert.bucket, alert.windowStartMs, alert.percent, url],
          alert.raisedMs,
        ])
      : [],
  );
  await session.runEach(
    `INSERT INTO alert_deliveries
       (bucket, window_start_ms, percent, url, due_ms, attempts, delivered_ms, failure)
     VALUES ($1, $2, $3, $4, $5, 0, NULL, '') ON CONFLICT DO NOTHING`,
    deliveries,
  );
  return raised;
}

export interface ClaimInput {
  readonly nowMs: number;
  /** Whoever claims a delivery has it alone for so long. */
  readonly holdMs: number;
  readonly limit: number;
}

/** Takes deliveries that are due. Of several who claim at once, one gets each. */
export async function claimDeliveries(
  session: SqlSession,
  { nowMs, holdMs, limit }: ClaimInput,
): Promise<readonly Delivery[]> {
  const due = await session.rows(
    `SELECT d.url, d.attempts, d.due_ms, ${alertColumns.map((each) => `a.${each}`).join(", ")}
     FROM alert_deliveries d JOIN quota_alerts a
       ON a.bucket = d.bucket AND a.window_start_ms = d.window_start_ms AND a.percent = d.percent
     WHERE d.due_ms <= $1 ORDER BY d.due_ms, d.bucket, d.percent, d.url LIMIT $2`,
    [nowMs, limit],
  );
  const claimed = await session.runEach(
    `UPDATE alert_deliveries SET due_ms = $5, attempts = attempts + 1
     WHERE bucket = $1 AND window_start_ms = $2 AND percent = $3 AND url = $4 AND due_ms = $6`,
    due.map((row) => {
      const { bucket, windowStartMs, percent } = readAlert(row);
      const keys = [bucket, windowStartMs, percent, readText(row, "url")];
      return [...keys, nowMs + holdMs, readInteger(row, "due_ms")];
    }),
  );
  return due.flatMap((row, index) =>
    claimed[index] === 1
      ? [
          {
            alert: readAlert(row),
            url: readText(row, "url"),
            attempts: readInteger(row, "attempts") + 1,
          },
        ]
      : [],
  );
}

export interface FinishInput {
  readonly delivery: Delivery;
  /** When it arrived; null when it did not. */
  readonly deliveredMs: number | null;
  /** When it is tried again; null for never. */
  readonly dueMs: number | null;
  /** Why it did not arrive, or empty. */
  readonly failure: string;
}

/** Notes how a delivery went. */
export async function finishDelivery(session: SqlSession, input: FinishInput): Promise<void> {
  const { alert, url } = input.delivery;
  await session.run(
    `UPDATE alert_deliveries SET delivered_ms = $5, due_ms = $6, failure = $7
     WHERE bucket = $1 AND window_start_ms = $2 AND percent = $3 AND url = $4`,
    [
      ...[alert.bucket, alert.windowStartMs, alert.percent, url],
      ...[input.deliveredMs, input.dueMs, input.failure],
    ],
  );
}

export interface AlertPage {
  /** Only of these policies; empty means all. */
  readonly policy: string;
  /** Only those raised after this, oldest first; undefined gives the newest first. */
  readonly afterMs: number | undefined;
  readonly limit: number;
}

/** Alerts, and how their deliveries stand. */
export async function listAlerts(
  session: SqlSession,
  { policy, afterMs, limit }: AlertPage,
): Promise<readonly AlertState[]> {
  const bindings = new Bindings();
  const conditions = ["1 = 1"];
  if (policy !== "") conditions.push(`a.policy = ${bindings.bind(policy)}`);
  if (afterMs !== undefined) conditions.push(`a.raised_ms > ${bindings.bind(afterMs)}`);
  const order = afterMs === undefined ? "DESC" : "ASC";
  const count = (condition: string) =>
    `(SELECT COUNT(*) FROM alert_deliveries d WHERE d.bucket = a.bucket
       AND d.window_start_ms = a.window_start_ms AND d.percent = a.percent AND ${condition})`;
  const rows = await session.rows(
    `SELECT ${alertColumns.map((each) => `a.${each}`).join(", ")},
       ${count("d.delivered_ms IS NOT NULL")} AS delivered,
       ${count("d.delivered_ms IS NULL AND d.due_ms IS NOT NULL")} AS pending,
       ${count("d.delivered_ms IS NULL AND d.due_ms IS NULL")} AS failed
     FROM quota_alerts a WHERE ${conditions.join(" AND ")}
     ORDER BY a.raised_ms ${order}, a.bucket ${order}, a.percent ${order}
     LIMIT ${bindings.bind(limit)}`,
    bindings.values,
  );
  return rows.map((row) => ({
    ...readAlert(row),
    delivered: readInteger(row, "delivered"),
    pending: readInteger(row, "pending"),
    failed: readInteger(row, "failed"),
  }));
}

/** An alert, and to how many addresses it went, is going, and will never go. */
export interface AlertState extends Alert {
  readonly delivered: number;
  readonly pending: number;
  readonly failed: number;
}

const alertColumns = [
  "bucket",
  "window_start_ms",
  "window_end_ms",
  "percent",
  "policy",
  "subject",
  "unit",
  "ceiling",
  "spent",
  "raised_ms",
] as const;

const alertFields = {
  bucket: "bucket",
  window_start_ms: "windowStartMs",
  window_end_ms: "windowEndMs",
  percent: "percent",
  policy: "policy",
  subject: "subject",
  unit: "unit",
  ceiling: "ceiling",
  spent: "spent",
  raised_ms: "raisedMs",
} as const satisfies Record<(typeof alertColumns)[number], keyof Alert>;

function readAlert(row: SqlRow): Alert {
  return {
    bucket: readText(row, "bucket"),
    windowStartMs: readInteger(row, "window_start_ms"),
    windowEndMs: row.window_end_ms === null ? null : readInteger(row, "window_end_ms"),
    percent: readInteger(row, "percent"),
    policy: readText(row, "policy"),
    subject: readText(row, "subject"),
    unit: readText(row, "unit"),
    ceiling: readInteger(row, "ceiling"),
    spent: readInteger(row, "spent"),
    raisedMs: readInteger(row, "raised_ms"),
  };
}
