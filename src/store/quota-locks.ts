import { parseBucket } from "../mesh/limit.ts";
import { findWindow, type TimeWindow } from "../mesh/window.ts";
import { QuotaBook } from "./quota-book.ts";
import type { QuotaReportInput, QuotaTerms, ReportedLease } from "./quota-report.ts";
import { listPast, readForm } from "./quota-report.ts";
import type { LeaseRow } from "./quota-rows.ts";
import {
  bucketColumns,
  insertMany,
  leaseColumns,
  readBucketRow,
  readByKeys,
  readLeaseRow,
  readWindowRow,
  splitKeys,
  windowColumns,
} from "./quota-rows.ts";
import type { SqlRow, SqlSession, SqlValue } from "./sql-session.ts";
import { readInteger, readText } from "./sql-session.ts";

/**
 * Locks every bucket that a report touches, in one order for all, and reads what is there. Only
 * behind the locks: what was read before them may have changed since. With `past` also what earlier
 * epochs of the proxy, and of those that it confesses for, still hold.
 */
export async function openBook(
  session: SqlSession,
  input: QuotaReportInput,
  past: boolean,
): Promise<QuotaBook> {
  const old = past ? await readPast(session, input) : [];
  const names = listBuckets(input, old);
  await lockBuckets(session, names);
  const book = new QuotaBook(input.proxyId);
  const rows = await readBy(
    session,
    `SELECT ${bucketColumns} FROM quota_buckets`,
    ["bucket"],
    [...names.map((name) => [name])],
  );
  for (const row of rows.map(readBucketRow)) {
    book.addBucket(row, findCurrent(input.terms.get(row.bucket), row.newestStartMs, input.atMs));
  }
  const keys = collectKeys(book, input, old);
  const leases = await readBy(
    session,
    `SELECT ${leaseColumns} FROM quota_leases`,
    ["bucket", "window_start_ms", "proxy_id", "epoch"],
    keys.leases,
  );
  for (const row of leases) book.addLease(readLeaseRow(row));
  const windows = await readBy(
    session,
    `SELECT ${windowColumns} FROM quota_windows`,
    ["bucket", "window_start_ms"],
    keys.windows,
  );
  for (const row of windows) book.addWindow(readWindowRow(row));
  await readHorizons(session, book, input);
  return book;
}

/**
 * The leases of a report that comes again. What it was granted then may be of a window that is over
 * by now, or of a limit that is gone: the proxy must hear of it all the same, to give it back.
 */
export async function nameLeases(
  session: SqlSession,
  { proxyId, epoch, leases }: QuotaReportInput,
): Promise<readonly ReportedLease[]> {
  const asking = leases.filter(({ windowStartMs }) => windowStartMs === -1);
  const rows = await readBy(
    session,
    "SELECT bucket, window_start_ms, granted, confirmed + returned AS gone FROM quota_leases",
    ["bucket", "proxy_id", "epoch", "closed"],
    asking.map(({ bucket }) => [bucket, proxyId, epoch, 0]),
  );
  const newest = new Map<string, number>();
  for (const row of rows) {
    if (readInteger(row, "granted") <= readInteger(row, "gone")) continue;
    const bucket = readText(row, "bucket");
    const startMs = readInteger(row, "window_start_ms");
    newest.set(bucket, Math.max(startMs, newest.get(bucket) ?? -1));
  }
  return leases.map((lease) => {
    const startMs = lease.windowStartMs === -1 ? newest.get(lease.bucket) : undefined;
    return startMs === undefined ? lease : { ...lease, windowStartMs: startMs };
  });
}

/** Never the window before one that another control has begun, whatever this one's clock says. */
function findCurrent(
  terms: QuotaTerms | undefined,
  newestStartMs: number,
  atMs: number,
): TimeWindow | undefined {
  if (terms === undefined) return undefined;
  return findWindow(terms.window ?? { kind: "lifetime" }, Math.max(atMs, newestStartMs));
}

/** The update changes nothing: it is what holds others up who book or grant the same. */
async function lockBuckets(session: SqlSession, names: readonly string[]): Promise<void> {
  await insertMany(
    session,
    names.map((name) => {
      const { policy = "", form = "", subject = "" } = parseBucket(name) ?? {};
      const { kind, unit } = readForm(form);
      return [name, policy, subject, kind, unit, 0, 0, -1, 0, "", 0, 0, 0];
    }),
    (places) =>
      `INSERT INTO quota_buckets (bucket, policy, subject, kind, unit, ceiling, newest_start_ms,
         level, level_at_ms, recall_for, recall_need, recall_since_ms, recall_asked_ms)
       VALUES ${places} ON CONFLICT (bucket) DO UPDATE SET policy = excluded.policy`,
  );
}

/** In the order of locking. A bucket that is not known, and that nobody holds, is not made. */
function listBuckets(input: QuotaReportInput, old: readonly LeaseRow[]): string[] {
  const names = new Set(old.map(({ bucket }) => bucket));
  for (const lease of input.leases) {
    const isHeld = lease.windowStartMs !== -1 || lease.granted > 0 || lease.confirmed > 0;
    if (isHeld || input.terms.has(lease.bucket)) names.add(lease.bucket);
  }
  for (const { leases } of input.confessions) for (const { bucket } of leases) names.add(bucket);
  // Byte by byte, not by a language: all instances must agree.
  return [...names].filter((name) => parseBucket(name) !== undefined).sort();
}

/**
 * What earlier epochs hold; of what they confess beyond, the confession itself names the leases.
 */
async function readPast(session: SqlSession, input: QuotaReportInput): Promise<LeaseRow[]> {
  const rows = await readByKeys(
    listPast(input).map(({ proxyId, before }) => [proxyId, before]),
    async (where, values) =>
      session.rows(
        `SELECT ${leaseColumns} FROM quota_leases
         WHERE closed = 0 AND granted > confirmed + returned AND ${where}`,
        values,
      ),
    ([proxyId, before]) => `proxy_id = ${proxyId} AND epoch < ${before}`,
  );
  return rows.map(readLeaseRow);
}

function collectKeys(book: QuotaBook, input: QuotaReportInput, old: readonly LeaseRow[]) {
  const windows = new Map<string, readonly SqlValue[]>();
  const leases: (readonly SqlValue[])[] = [];
  const add = (bucket: string, startMs: number, epoch: number, proxyId = input.proxyId) => {
    windows.set(`${startMs} ${bucket}`, [bucket, startMs]);
    leases.push([bucket, startMs, proxyId, epoch]);
  };
  for (const { bucket, startMs, epoch, proxyId } of old) add(bucket, startMs, epoch, proxyId);
  for (const lease of input.leases) {
    const startMs = resolveStart(book, lease);
    if (startMs !== undefined) add(lease.bucket, startMs, input.epoch);
    const current = book.currentOf(lease.bucket)?.startMs;
    if (current !== undefined) windows.set(`${current} ${lease.bucket}`, [lease.bucket, current]);
  }
  for (const { epoch, leases: named, proxyId } of input.confessions) {
    for (const { bucket, windowStartMs } of named) add(bucket, windowStartMs, epoch, proxyId);
  }
  return { windows: [...windows.values()], leases };
}

/** The window that a reported lease is of; undefined where it asks for one that is not there. */
export function resolveStart(book: QuotaBook, lease: ReportedLease): number | undefined {
  if (lease.windowStartMs !== -1) return lease.windowStartMs;
  return book.currentOf(lease.bucket)?.startMs;
}

/** The earlier windows of rolling ones, where something may be granted. */
async function readHorizons(
  session: SqlSession,
  book: QuotaBook,
  input: QuotaReportInput,
): Promise<void> {
  const asked = new Set<string>();
  for (const { bucket } of input.leases) {
    const current = book.currentOf(bucket);
    if (current !== undefined && current.horizonMs < current.startMs) asked.add(bucket);
  }
  const keys = [...asked].map((bucket) => [bucket, book.currentOf(bucket)?.horizonMs ?? 0]);
  const rows = await readByKeys(
    keys,
    async (where, values) =>
      session.rows(`SELECT ${windowColumns} FROM quota_windows WHERE ${where}`, values),
    ([bucket, horizon]) => `bucket = ${bucket} AND window_start_ms >= ${horizon}`,
  );
  for (const row of rows) book.addWindow(readWindowRow(row));
}

/**
 * Rows whose columns have the values of one of the keys. A server plans few lists, which also find
 * rows whose columns have values of several keys, much faster than many alternatives.
 */
async function readBy(
  session: SqlSession,
  select: string,
  columns: readonly string[],
  keys: readonly (readonly SqlValue[])[],
): Promise<readonly SqlRow[]> {
  const reading = splitKeys(keys).map((some) => {
    const values: SqlValue[] = [];
    const conditions = columns.map((column, at) => {
      const wanted = padList([...new Set(some.map((key) => key[at] ?? null))]);
      return `${column} IN (${wanted.map((value) => `$${values.push(value)}`).join(", ")})`;
    });
    return session.rows(`${select} WHERE ${conditions.join(" AND ")}`, values);
  });
  // A lease whose window is not in the book too would be booked into an empty one.
  const listed = new Set(keys.map((key) => key.join("\n")));
  const isListed = (row: SqlRow) =>
    columns.some((column) => row[column] === undefined) ||
    listed.has(columns.map((column) => row[column]).join("\n"));
  return (await Promise.all(reading)).flat().filter(isListed);
}

/** To one of few lengths, so that few statements are prepared. */
function padList(values: readonly SqlValue[]): readonly SqlValue[] {
  const length = [1, 4, 16].find((each) => values.length <= each) ?? 64;
  const last = values.at(-1) ?? null;
  return [...values, ...Array<SqlValue>(Math.max(0, length - values.length)).fill(last)];
}
