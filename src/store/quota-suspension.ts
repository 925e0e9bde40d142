import type { SqlSession } from "./sql-session.ts";
import { readText } from "./sql-session.ts";

/** Why nothing is granted, and since when in milliseconds since 1970. */
export interface QuotaSuspension {
  readonly reason: string;
  readonly sinceMs: number;
}

export async function readSuspension(session: SqlSession): Promise<QuotaSuspension | undefined> {
  const rows = await session.rows("SELECT key, value FROM quota_state");
  const values = new Map(rows.map((row) => [readText(row, "key"), readText(row, "value")]));
  const reason = values.get("suspended");
  if (reason === undefined) return undefined;
  return { reason, sinceMs: Number(values.get("suspended_ms") ?? 0) };
}

/** Stops all granting. The first reason is the one that is kept. */
export async function suspend(session: SqlSession, reason: string, atMs: number): Promise<void> {
  const text = reason.slice(0, REASON_MAX);
  await session.runEach(
    "INSERT INTO quota_state (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    [
      ["suspended", text],
      ["suspended_ms", String(atMs)],
    ],
  );
}

/** Grants again. Returns what is over; undefined when nothing was. */
export async function resumeQuota(session: SqlSession): Promise<QuotaSuspension | undefined> {
  const found = await readSuspension(session);
  if (found !== undefined) await session.run("DELETE FROM quota_state");
  return found;
}

const REASON_MAX = 2000;
