import { changeLease, holdingOf, refillPool } from "./quota-booking.ts";
import { findViolations } from "./quota-check.ts";
import { openBook } from "./quota-locks.ts";
import { endEpochs, lockKnownProxy } from "./quota-proxies.ts";
import type { QuotaReportInput } from "./quota-report.ts";
import type { SqlSession } from "./sql-session.ts";
import { readInteger } from "./sql-session.ts";

/** A proxy that will not come back. */
export interface QuotaReleaseInput {
  readonly proxyId: string;
  /** The control's clock, in milliseconds since 1970. */
  readonly atMs: number;
  /** True to go by the store's own clock where it has one, as reports do. */
  readonly byStoreClock?: boolean;
}

/** What a proxy held of one bucket, and what became of it. */
export interface ReleasedLease {
  readonly bucket: string;
  readonly kind: string;
  readonly unit: string;
  readonly ceiling: number;
  /** What counts as spent until the window ends. */
  readonly forfeited: number;
  /** What others may have; for a rate, millionths of it. */
  readonly returned: number;
}

/** What was released. */
export interface QuotaRelease {
  /** When the proxy last reported, in milliseconds since 1970; 0 means never. */
  readonly seenMs: number;
  readonly leases: readonly ReleasedLease[];
  /** Sums that do not add up, in sentences: faults of Weir. */
  readonly violations: readonly string[];
}

/**
 * Closes everything that a proxy holds, and refuses what this start of it still reports. Nobody
 * knows what it has spent: of budgets all is forfeited. Slots and rates are no money, and come
 * back. Returns undefined when no such proxy has ever reported.
 */
export async function releaseQuota(
  session: SqlSession,
  { proxyId, atMs, byStoreClock }: QuotaReleaseInput,
): Promise<QuotaRelease | undefined> {
  const proxy = await lockKnownProxy(session, proxyId);
  if (proxy === undefined) return undefined;
  // Nothing was heard of an epoch that was ended before: its number is for the next start.
  const epoch = proxy.lastSequence === 0 ? proxy.epoch : proxy.epoch + 1;
  const input: QuotaReportInput = {
    proxyId,
    epoch,
    sequence: 0,
    previousEpoch: 0,
    atMs: byStoreClock === true ? await readClock(session, atMs) : atMs,
    leases: [],
    confessions: [],
    terms: new Map(),
  };
  const book = await openBook(session, input, true);
  const leases: ReleasedLease[] = [];
  for (const lease of book.leases()) {
    const row = book.bucket(lease.bucket);
    if (row === undefined || lease.closed) continue;
    const held = holdingOf(lease);
    const lost = row.kind === "budget" ? held : 0;
    if (row.kind === "rate") refillPool(book, row, undefined, input.atMs);
    changeLease(book, lease, (window) => {
      window.forfeited = Math.min(window.forfeited + lost, Number.MAX_SAFE_INTEGER);
      lease.forfeited = lost;
      lease.closed = true;
      lease.outstanding = 0;
    });
    const { bucket, kind, unit, ceiling } = row;
    leases.push({ bucket, kind, unit, ceiling, forfeited: lost, returned: held - lost });
  }
  await endEpochs(session, { proxyId, before: epoch });
  await book.save(session);
  const violations = await findViolations(session, book);
  return { seenMs: proxy.seenMs, leases, violations };
}

async function readClock(session: SqlSession, atMs: number): Promise<number> {
  if (session.clockSql === undefined) return atMs;
  const [row] = await session.rows(`SELECT ${session.clockSql} AS now_ms`);
  return row === undefined ? atMs : readInteger(row, "now_ms");
}
