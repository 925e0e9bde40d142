import type { SqlRow, SqlSession, SqlValue } from "./sql-session.ts";
import { readInteger, readText } from "./sql-session.ts";

/** A bucket. The operation that holds its lock changes it in place. */
export interface BucketRow {
  readonly bucket: string;
  readonly kind: string;
  readonly unit: string;
  ceiling: number;
  newestStartMs: number;
  level: number;
  levelAtMs: number;
  /** The proxy that others give back for; empty for none. */
  recallFor: string;
  recallNeed: number;
  recallSinceMs: number;
  recallAskedMs: number;
}

export interface WindowRow {
  readonly bucket: string;
  readonly startMs: number;
  /** Undefined for never. */
  readonly endMs: number | undefined;
  spent: number;
  leased: number;
  forfeited: number;
}

export interface LeaseRow {
  readonly bucket: string;
  readonly startMs: number;
  readonly proxyId: string;
  readonly epoch: number;
  granted: number;
  confirmed: number;
  returned: number;
  outstanding: number;
  levelGranted: number;
  levelReturned: number;
  forfeited: number;
  closed: boolean;
  reportedMs: number;
}

export const bucketColumns =
  "bucket, kind, unit, ceiling, newest_start_ms, level, level_at_ms, " +
  "recall_for, recall_need, recall_since_ms, recall_asked_ms";

export const windowColumns = "bucket, window_start_ms, window_end_ms, spent, leased, forfeited";

export const leaseColumns =
  "bucket, window_start_ms, proxy_id, epoch, granted, confirmed, returned, outstanding, " +
  "level_granted, level_returned, forfeited, closed, reported_ms";

export function readBucketRow(row: SqlRow): BucketRow {
  return {
    bucket: readText(row, "bucket"),
    kind: readText(row, "kind"),
    unit: readText(row, "unit"),
    ceiling: readInteger(row, "ceiling"),
    newestStartMs: readInteger(row, "newest_start_ms"),
    level: readInteger(row, "level"),
    levelAtMs: readInteger(row, "level_at_ms"),
    recallFor: readText(row, "recall_for"),
    recallNeed: readInteger(row, "recall_need"),
    recallSinceMs: readInteger(row, "recall_since_ms"),
    recallAskedMs: readInteger(row, "recall_asked_ms"),
  };
}

export function readWindowRow(row: SqlRow): WindowRow {
  return {
    bucket: readText(row, "bucket"),
    startMs: readInteger(row, "window_start_ms"),
    endMs: row.window_end_ms === null ? undefined : readInteger(row, "window_end_ms"),
    spent: readInteger(row, "spent"),
    leased: readInteger(row, "leased"),
    forfeited: readInteger(row, "forfeited"),
  };
}

export function readLeaseRow(row: SqlRow): LeaseRow {
  return {
    bucket: readText(row, "bucket"),
    startMs: readInteger(row, "window_start_ms"),
    proxyId: readText(row, "proxy_id"),
    epoch: readInteger(row, "epoch"),
    granted: readInteger(row, "granted"),
    confirmed: readInteger(row, "confirmed"),
    returned: readInteger(row, "returned"),
    outstanding: readInteger(row, "outstanding"),
    levelGranted: readInteger(row, "level_granted"),
    levelReturned: readInteger(row, "level_returned"),
    forfeited: readInteger(row, "forfeited"),
    closed: readInteger(row, "closed") === 1,
    reportedMs: readInteger(row, "reported_ms"),
  };
}

export async function saveBuckets(session: SqlSession, rows: readonly BucketRow[]): Promise<void> {
  await session.runEach(
    `UPDATE quota_buckets SET ceiling = $2, newest_start_ms = $3, level = $4, level_at_ms = $5,
       recall_for = $6, recall_need = $7, recall_since_ms = $8, recall_asked_ms = $9
     WHERE bucket = $1`,
    rows.map((row) => [
      row.bucket,
      row.ceiling,
      row.newestStartMs,
      row.level,
      row.levelAtMs,
      row.recallFor,
      row.recallNeed,
      row.recallSinceMs,
      row.recallAskedMs,
    ]),
  );
}

export async function saveWindows(session: SqlSession, rows: readonly WindowRow[]): Promise<void> {
  await insertMany(
    session,
    rows.map((row) => [
      row.bucket,
      row.startMs,
      row.endMs ?? null,
      row.spent,
      row.leased,
      row.forfeited,
    ]),
    (places) =>
      `INSERT INTO quota_windows (${windowColumns}) VALUES ${places}
       ON CONFLICT (bucket, window_start_ms) DO UPDATE SET
         spent = excluded.spent, leased = excluded.leased, forfeited = excluded.forfeited`,
  );
}

export async function saveLeases(session: SqlSession, rows: readonly LeaseRow[]): Promise<void> {
  await insertMany(
    session,
    rows.map((row) => [
      row.bucket,
      row.startMs,
      row.proxyId,
      row.epoch,
      row.granted,
      row.confirmed,
      row.returned,
      row.outstanding,
      row.levelGranted,
      row.levelReturned,
      row.forfeited,
      row.closed ? 1 : 0,
      row.reportedMs,
    ]),
    (places) =>
      `INSERT INTO quota_leases (${leaseColumns}) VALUES ${places}
       ON CONFLICT (bucket, window_start_ms, proxy_id, epoch) DO UPDATE SET
         granted = excluded.granted, confirmed = excluded.confirmed, returned = excluded.returned,
         outstanding = excluded.outstanding, level_granted = excluded.level_granted,
         level_returned = excluded.level_returned, forfeited = excluded.forfeited,
         closed = excluded.closed, reported_ms = excluded.reported_ms`,
  );
}

/** Inserts rows in their order, several in a statement: `statement` gets the rows' placeholders. */
export async function insertMany(
  session: SqlSession,
  rows: readonly (readonly SqlValue[])[],
  statement: (places: string) => string,
): Promise<void> {
  const inserting = splitKeys(rows).map((some) => {
    const values: SqlValue[] = [];
    const parts = some.map((row) => `(${row.map((value) => `$${values.push(value)}`).join(", ")})`);
    return session.run(statement(parts.join(", ")), values);
  });
  await Promise.all(inserting);
}

/**
 * Reads what belongs to many keys, some at a time. `condition` gets the placeholders of one key;
 * the number of keys of a statement takes few values, so that few statements are prepared.
 */
export async function readByKeys<T>(
  keys: readonly (readonly SqlValue[])[],
  read: (where: string, values: readonly SqlValue[]) => Promise<readonly T[]>,
  condition: (places: readonly string[]) => string,
): Promise<T[]> {
  const reading = splitKeys(keys).map((some) => {
    const values: SqlValue[] = [];
    const parts = some.map((key) => {
      const places = key.map((value) => `$${values.push(value)}`);
      return `(${condition(places)})`;
    });
    return read(`(${parts.join(" OR ")})`, values);
  });
  return (await Promise.all(reading)).flat();
}

/** In groups of few sizes. */
export function splitKeys<T>(keys: readonly T[]): readonly (readonly T[])[] {
  const groups: (readonly T[])[] = [];
  for (let from = 0; from < keys.length; ) {
    const left = keys.length - from;
    const size = left >= KEYS_A_TIME ? KEYS_A_TIME : left < KEYS_FEW ? 1 : KEYS_FEW;
    groups.push(keys.slice(from, from + size));
    from += size;
  }
  return groups;
}

const KEYS_A_TIME = 64;
const KEYS_FEW = 8;
