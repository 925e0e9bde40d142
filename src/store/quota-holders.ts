import type { QuotaReportInput } from "./quota-report.ts";
import type { SqlSession } from "./sql-session.ts";
import { readInteger } from "./sql-session.ts";

/** What other proxies hold of a bucket. */
export interface Holders {
  /** All of it, but for what dead epochs hold. */
  readonly held: number;
  /** What no request is under way for, at proxies that answer. */
  readonly unreserved: number;
}

export interface HoldersQuestion {
  readonly bucket: string;
  readonly horizonMs: number;
  readonly input: Pick<QuotaReportInput, "proxyId" | "atMs">;
  /** Since when they are asked to give back; one who has not done so for long will not. */
  readonly recallSinceMs: number;
  /** True where all that is not reserved comes back: who was heard of and kept it was not told. */
  readonly whole: boolean;
}

export async function readHolders(
  session: SqlSession,
  { bucket, horizonMs, input, recallSinceMs, whole }: HoldersQuestion,
): Promise<Holders> {
  const rows = await session.rows(
    `SELECT l.granted - l.confirmed - l.returned AS held, l.outstanding, l.reported_ms, p.seen_ms
     FROM quota_leases l JOIN quota_proxies p ON p.proxy_id = l.proxy_id AND p.epoch = l.epoch
     WHERE l.bucket = $1 AND l.window_start_ms >= $2 AND l.closed = 0 AND l.proxy_id <> $3
       AND l.granted > l.confirmed + l.returned`,
    [bucket, horizonMs, input.proxyId],
  );
  const sinceRecall = input.atMs - recallSinceMs;
  const overdue = sinceRecall > ANSWER_MS && sinceRecall < UNANSWERED_MS;
  let held = 0;
  let unreserved = 0;
  for (const row of rows) {
    held += readInteger(row, "held");
    const silent = overdue && readInteger(row, "reported_ms") <= recallSinceMs;
    const missed = whole && readInteger(row, "seen_ms") > recallSinceMs + ANSWER_MS;
    if (silent && !missed) continue;
    unreserved += Math.max(0, readInteger(row, "held") - readInteger(row, "outstanding"));
  }
  return { held, unreserved };
}

/** A proxy that is there has answered a recall by then. */
export const ANSWER_MS = 1500;
/** After so long it is worth asking once more. */
const UNANSWERED_MS = 30_000;
