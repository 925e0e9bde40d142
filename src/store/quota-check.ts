import type { QuotaBook } from "./quota-book.ts";
import { readByKeys } from "./quota-rows.ts";
import type { SqlSession } from "./sql-session.ts";
import { readInteger, readText } from "./sql-session.ts";

/** A bucket from which something was granted just now. */
export interface GrantedFrom {
  readonly bucket: string;
  readonly horizonMs: number;
  readonly ceiling: number;
}

/**
 * Sums up from the tables what was just written: a grant that went over a ceiling, by whatever
 * fault, is never committed. Throws.
 */
export async function assertWithinCeilings(
  session: SqlSession,
  granted: readonly GrantedFrom[],
): Promise<void> {
  const ceilings = new Map(granted.map(({ bucket, ceiling }) => [bucket, ceiling]));
  const rows = await readByKeys(
    granted.map(({ bucket, horizonMs }) => [bucket, horizonMs]),
    async (where, values) =>
      session.rows(
        `SELECT bucket, CAST(SUM(spent + leased + forfeited) AS BIGINT) AS used
         FROM quota_windows WHERE ${where} GROUP BY bucket`,
        values,
      ),
    ([bucket, horizon]) => `bucket = ${bucket} AND window_start_ms >= ${horizon}`,
  );
  for (const row of rows) {
    const bucket = readText(row, "bucket");
    const ceiling = ceilings.get(bucket) ?? 0;
    const used = readInteger(row, "used");
    if (used > ceiling) throw new Error(`${used} of ${ceiling} would be granted of ${bucket}`);
  }
}

/**
 * Compares what windows say is held with what their leases hold. Returns what does not add up, in
 * sentences: a fault of Weir.
 */
export async function findViolations(session: SqlSession, book: QuotaBook): Promise<string[]> {
  const windows = book.listChangedWindows().slice(0, CHECKED_MAX);
  const rows = await readByKeys(
    windows.map(({ bucket, startMs }) => [bucket, startMs]),
    async (where, values) =>
      session.rows(
        `SELECT bucket, window_start_ms, leased, (SELECT CAST(COALESCE(SUM(
           CASE WHEN closed = 0 AND granted > confirmed + returned
             THEN granted - confirmed - returned ELSE 0 END), 0) AS BIGINT)
           FROM quota_leases l WHERE l.bucket = w.bucket AND l.window_start_ms = w.window_start_ms
         ) AS held
         FROM quota_windows w WHERE ${where}`,
        values,
      ),
    ([bucket, startMs]) => `bucket = ${bucket} AND window_start_ms = ${startMs}`,
  );
  return rows
    .filter(({ leased, held }) => leased !== held)
    .map(
      ({ bucket, window_start_ms, leased, held }) =>
        `${bucket} from ${window_start_ms} counts ${leased} as held, but ${held} is.`,
    );
}

const CHECKED_MAX = 64;
