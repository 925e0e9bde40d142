import type { BucketRow, LeaseRow, WindowRow } from "./quota-rows.ts";
import {
  bucketColumns,
  leaseColumns,
  readBucketRow,
  readByKeys,
  readLeaseRow,
  readWindowRow,
  windowColumns,
} from "./quota-rows.ts";
import type { SqlSession } from "./sql-session.ts";
import { readInteger, readText } from "./sql-session.ts";

/** Which buckets: those of a policy, or those of a subject. */
export interface QuotaStatusQuery {
  readonly by: "policy" | "subject";
  readonly name: string;
  /** Windows that begin from here on, and those that never end. */
  readonly sinceMs: number;
  readonly limit: number;
}

/** A bucket as it stands. */
export interface QuotaBucketStatus {
  readonly bucket: Readonly<BucketRow>;
  readonly windows: readonly Readonly<WindowRow>[];
  /** Those that hold something, with whether their epoch is over. */
  readonly leases: readonly (Readonly<LeaseRow> & { readonly frozen: boolean })[];
}

export async function readQuotaStatus(
  session: SqlSession,
  { by, name, sinceMs, limit }: QuotaStatusQuery,
): Promise<readonly QuotaBucketStatus[]> {
  const column = by === "policy" ? "policy" : "subject";
  const rows = await session.rows(
    `SELECT ${bucketColumns} FROM quota_buckets WHERE ${column} = $1 ORDER BY bucket LIMIT $2`,
    [name, limit],
  );
  const buckets = rows.map(readBucketRow);
  const keys = buckets.map(({ bucket }) => [bucket, sinceMs]);
  const windows = await readByKeys(
    keys,
    async (where, values) =>
      session.rows(`SELECT ${windowColumns} FROM quota_windows WHERE ${where}`, values),
    ([bucket, since]) =>
      `bucket = ${bucket} AND (window_start_ms >= ${since} OR window_start_ms = 0)`,
  );
  const epochs = "SELECT epoch FROM quota_proxies p WHERE p.proxy_id = l.proxy_id";
  const leases = await readByKeys(
    keys,
    async (where, values) =>
      session.rows(
        `SELECT ${leaseColumns}, COALESCE((${epochs}), 0) AS newest_epoch
         FROM quota_leases l
         WHERE closed = 0 AND granted > confirmed + returned AND ${where}
         ORDER BY proxy_id, epoch`,
        values,
      ),
    ([bucket, since]) =>
      `bucket = ${bucket} AND (window_start_ms >= ${since} OR window_start_ms = 0)`,
  );
  const windowsOf = groupByBucket(windows.map(readWindowRow));
  const leasesOf = groupByBucket(
    leases.map((row) => {
      const lease = readLeaseRow(row);
      return { ...lease, frozen: lease.epoch < readInteger(row, "newest_epoch") };
    }),
  );
  return buckets.map((bucket) => ({
    bucket,
    windows: windowsOf.get(bucket.bucket) ?? [],
    leases: leasesOf.get(bucket.bucket) ?? [],
  }));
}

/** A bucket that a proxy collects. */
export interface RecalledBucket {
  readonly bucket: string;
  readonly proxyId: string;
  /** When it last asked, by the clock of the control that it asked through. */
  readonly askedMs: number;
}

/** Buckets that somebody collects, and for whom. */
export async function readRecalled(
  session: SqlSession,
  { sinceMs, limit }: { readonly sinceMs: number; readonly limit: number },
): Promise<readonly RecalledBucket[]> {
  const rows = await session.rows(
    `SELECT bucket, recall_for, recall_asked_ms FROM quota_buckets
     WHERE recall_asked_ms > $1 AND recall_for <> '' ORDER BY recall_asked_ms DESC LIMIT $2`,
    [sinceMs, limit],
  );
  return rows.map((row) => ({
    bucket: readText(row, "bucket"),
    proxyId: readText(row, "recall_for"),
    askedMs: readInteger(row, "recall_asked_ms"),
  }));
}

/** Forgets windows that ended long ago; of buckets that have none left, the bucket too. */
export async function expireQuota(
  session: SqlSession,
  { beforeMs, limit }: { readonly beforeMs: number; readonly limit: number },
): Promise<number> {
  const rows = await session.rows(
    `SELECT bucket, window_start_ms FROM quota_windows
     WHERE window_end_ms < $1 ORDER BY bucket, window_start_ms LIMIT $2`,
    [beforeMs, limit],
  );
  const keys = rows.map((row) => [readText(row, "bucket"), readInteger(row, "window_start_ms")]);
  const names = [...new Set(rows.map((row) => readText(row, "bucket")))].map((name) => [name]);
  // The lock, in the order in which all take it.
  await session.runEach("UPDATE quota_buckets SET level = level WHERE bucket = $1", names);
  await session.runEach(
    "DELETE FROM quota_leases WHERE bucket = $1 AND window_start_ms = $2",
    keys,
  );
  await session.runEach(
    "DELETE FROM quota_windows WHERE bucket = $1 AND window_start_ms = $2",
    keys,
  );
  // What never ends keeps its sums, and forgets who has settled.
  await session.run(
    `DELETE FROM quota_leases WHERE reported_ms < $1 AND window_start_ms = 0
     AND (closed = 1 OR granted <= confirmed + returned)`,
    [beforeMs],
  );
  await session.runEach(
    `DELETE FROM quota_buckets WHERE bucket = $1
     AND NOT EXISTS (SELECT 1 FROM quota_windows w WHERE w.bucket = quota_buckets.bucket)`,
    names,
  );
  return rows.length;
}

function groupByBucket<T extends { readonly bucket: string }>(rows: readonly T[]) {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const group = groups.get(row.bucket);
    if (group === undefined) groups.set(row.bucket, [row]);
    else group.push(row);
  }
  return groups;
}
