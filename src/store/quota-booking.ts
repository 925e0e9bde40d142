import { findWindow } from "../mesh/window.ts";
import type { QuotaBook } from "./quota-book.ts";
import { resolveStart } from "./quota-locks.ts";
import { refillLevel } from "./quota-rate-grant.ts";
import type {
  QuotaReportInput,
  QuotaTerms,
  ReportedConfession,
  ReportedLease,
} from "./quota-report.ts";
import { listPast, WHOLE_RATE } from "./quota-report.ts";
import type { BucketRow, LeaseRow, WindowRow } from "./quota-rows.ts";

/**
 * Books what a report tells: totals, confessions, and what epochs before this one held and no
 * longer can. Booking only ever tightens: money comes back on its holder's word alone. Returns why
 * the ledger must have lost something, in sentences; none usually.
 */
export function bookReport(book: QuotaBook, input: QuotaReportInput): string[] {
  const doubts: string[] = [];
  for (const confession of input.confessions) {
    const { proxyId = input.proxyId, epoch } = confession;
    // Nobody knows what an epoch has spent at most that is not over.
    if (proxyId === input.proxyId && epoch >= input.epoch) continue;
    doubts.push(...bookConfession(book, input, confession));
  }
  returnInstantOnes(book, input);
  for (const lease of input.leases) {
    const doubt = bookLease(book, input, lease);
    if (doubt !== undefined) doubts.push(doubt);
  }
  return doubts;
}

/** What a lease holds for the ledger; an overdrawn one holds nothing. */
export function holdingOf(lease: LeaseRow): number {
  if (lease.closed) return 0;
  return Math.max(0, lease.granted - lease.confirmed - lease.returned);
}

/** Changes a lease, and what is held in its window with it. */
export function changeLease(
  book: QuotaBook,
  lease: LeaseRow,
  change: (window: WindowRow) => void,
): void {
  const window = openWindow(book, lease.bucket, lease.startMs, undefined);
  const before = holdingOf(lease);
  change(window);
  window.leased += holdingOf(lease) - before;
  book.change(lease, window);
}

/** The window's row, made when there is none. */
export function openWindow(
  book: QuotaBook,
  bucket: string,
  startMs: number,
  endMs: number | undefined,
): WindowRow {
  const known = book.window(bucket, startMs);
  if (known !== undefined) return known;
  const end = endMs === Number.POSITIVE_INFINITY ? undefined : endMs;
  return book.addWindow({ bucket, startMs, endMs: end, spent: 0, leased: 0, forfeited: 0 });
}

export function openLease(
  book: QuotaBook,
  input: Pick<QuotaReportInput, "proxyId" | "atMs">,
  key: { readonly bucket: string; readonly startMs: number; readonly epoch: number },
): LeaseRow {
  return book.addLease({
    ...key,
    proxyId: input.proxyId,
    granted: 0,
    confirmed: 0,
    returned: 0,
    outstanding: 0,
    levelGranted: 0,
    levelReturned: 0,
    forfeited: 0,
    closed: false,
    reportedMs: input.atMs,
  });
}

/**
 * Brings the level of a rate's pool up to now, which must be done before its share changes. The row
 * of a bucket never asked for is full. Without terms nothing comes in.
 */
export function refillPool(
  book: QuotaBook,
  bucket: BucketRow,
  terms: QuotaTerms | undefined,
  atMs: number,
): void {
  book.change(bucket);
  if (terms === undefined) {
    bucket.levelAtMs = Math.max(bucket.levelAtMs, atMs);
    return;
  }
  const share = Math.max(0, WHOLE_RATE - (book.window(bucket.bucket, 0)?.leased ?? 0));
  const pool = { level: bucket.level < 0 ? share * terms.burst : bucket.level, share };
  bucket.level = refillLevel(terms, pool, bucket.level < 0 ? 0 : atMs - bucket.levelAtMs);
  bucket.levelAtMs = Math.max(bucket.levelAtMs, atMs);
}

function bookLease(
  book: QuotaBook,
  input: QuotaReportInput,
  reported: ReportedLease,
): string | undefined {
  const { bucket, granted, confirmed, returned } = reported;
  const startMs = resolveStart(book, reported);
  const row = book.bucket(bucket);
  if (startMs === undefined || row === undefined) return undefined;
  const known = book.lease(bucket, startMs, input.epoch);
  if (known === undefined && granted === 0 && confirmed === 0) return undefined;
  const terms = input.terms.get(bucket);
  const lease = known ?? openLease(book, input, { bucket, startMs, epoch: input.epoch });
  const endMs = findWindow(terms?.window ?? { kind: "lifetime" }, startMs).endMs;
  openWindow(book, bucket, startMs, endMs);
  if (row.kind === "rate") refillPool(book, row, terms, input.atMs);
  const lost = granted - lease.granted;
  changeLease(book, lease, (window) => {
    lease.granted = Math.max(lease.granted, granted);
    window.spent = addUp(window.spent, Math.max(0, confirmed - lease.confirmed));
    lease.confirmed = Math.max(lease.confirmed, confirmed);
    lease.returned = Math.max(lease.returned, returned);
    lease.outstanding = reported.outstanding;
    lease.reportedMs = input.atMs;
  });
  const level = reported.levelReturned - lease.levelReturned;
  if (level > 0) {
    lease.levelReturned = reported.levelReturned;
    // A level beyond what the pool's share may hold flows over.
    const share = Math.max(0, WHOLE_RATE - (book.window(bucket, startMs)?.leased ?? 0));
    if (terms !== undefined) row.level = Math.min(row.level + level, share * terms.burst);
    book.change(row);
  }
  if (lost <= 0) return undefined;
  return `${input.proxyId} was granted ${granted} of ${bucket}, and the ledger knows of ${granted - lost}.`;
}

/** Requests under way ended with their process, and a rate is no money: both come back at once. */
function returnInstantOnes(book: QuotaBook, input: QuotaReportInput): void {
  const past = new Map(listPast(input).map(({ proxyId, before }) => [proxyId, before]));
  for (const lease of book.leases()) {
    if (lease.epoch >= (past.get(lease.proxyId) ?? 0) || lease.closed) continue;
    const row = book.bucket(lease.bucket);
    if (row === undefined || row.kind === "budget") continue;
    // The share comes with no level: what was admitted since the last report is unknown.
    if (row.kind === "rate") refillPool(book, row, input.terms.get(lease.bucket), input.atMs);
    changeLease(book, lease, () => {
      lease.closed = true;
      lease.outstanding = 0;
    });
  }
}

function bookConfession(
  book: QuotaBook,
  input: QuotaReportInput,
  { epoch, trusted, leases, proxyId = input.proxyId }: ReportedConfession,
): string[] {
  const doubts: string[] = [];
  const usedMax = new Map<string, number>();
  for (const named of leases) {
    const { bucket, windowStartMs: startMs } = named;
    const row = book.bucket(bucket);
    if (row === undefined || row.kind !== "budget") continue;
    usedMax.set(`${startMs} ${bucket}`, named.usedMax);
    if (book.lease(bucket, startMs, epoch, proxyId) !== undefined) continue;
    if (startMs > 0 && startMs < input.atMs - FORGOTTEN_MS) continue;
    // Held by a lease that the ledger does not know: it counts as granted, and as spent.
    const endMs = findWindow(
      input.terms.get(bucket)?.window ?? { kind: "lifetime" },
      startMs,
    ).endMs;
    openWindow(book, bucket, startMs, endMs);
    openLease(book, { proxyId, atMs: input.atMs }, { bucket, startMs, epoch });
    doubts.push(`${proxyId} held a lease of ${bucket} that the ledger does not know.`);
  }
  for (const lease of book.leases()) {
    if (lease.epoch !== epoch || lease.proxyId !== proxyId || lease.closed) continue;
    if (book.bucket(lease.bucket)?.kind !== "budget") continue;
    const named = usedMax.get(`${lease.startMs} ${lease.bucket}`) ?? 0;
    const held = trusted ? 0 : holdingOf(lease);
    const lost = Math.max(held, named - lease.confirmed, 0);
    changeLease(book, lease, (window) => {
      window.forfeited = addUp(window.forfeited, lost);
      lease.forfeited = lost;
      lease.closed = true;
      lease.outstanding = 0;
    });
  }
  return doubts;
}

/**
 * A vendor may count what it likes. A sum that can no longer be read back would hold up every
 * report that touches the bucket: at the end of the integers it stays, which grants nothing.
 */
function addUp(sum: number, more: number): number {
  return Math.min(sum + more, Number.MAX_SAFE_INTEGER);
}

/** How long the ledger remembers leases of windows that are over. */
export const FORGOTTEN_MS = 400 * 86_400_000;
