import type { QuotaBook } from "./quota-book.ts";
import type { SqlSession } from "./sql-session.ts";
import { readInteger } from "./sql-session.ts";

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
  await Promise.all(
    granted.map(async ({ bucket, horizonMs, ceiling }) => {
      const [row] = await session.rows(
        `SELECT CAST(COALESCE(SUM(spent + leased + forfeited), 0) AS BIGINT) AS used
         FROM quota_windows WHERE bucket = $1 AND window_start_ms >= $2`,
        [bucket, horizonMs],
      );
      const used = row === undefined ? 0 : readInteger(row, "used");
      if (used > ceiling) throw new Error(`${used} of ${ceiling} would be granted of ${bucket}`);
    }),
  );
}

/**
 * Compares what windows say is held with what their leases hold. Returns what does not add up, in
 * sentences: a fault of Weir.
 */
export async function findViolations(session: SqlSession, book: QuotaBook): Promise<string[]> {
  const windows = book.listChangedWindows().slice(0, CHECKED_MAX);
  const found = await Promise.all(
    windows.map(async ({ bucket, startMs }) => {
      const [row] = await session.rows(
        `SELECT leased, (SELECT CAST(COALESCE(SUM(
           CASE WHEN closed = 0 AND granted > confirmed + returned
             THEN granted - confirmed - returned ELSE 0 END), 0) AS BIGINT)
           FROM quota_leases l WHERE l.bucket = w.bucket AND l.window_start_ms = w.window_start_ms
         ) AS held
         FROM quota_windows w WHERE bucket = $1 AND window_start_ms = $2`,
        [bucket, startMs],
      );
      if (row === undefined || row.leased === row.held) return [];
      return [`${bucket} from ${startMs} counts ${row.leased} as held, but ${row.held} is.`];
    }),
  );
  return found.flat();
}

const CHECKED_MAX = 64;
