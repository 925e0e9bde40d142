import type { PastEpochs, QuotaReportInput } from "./quota-report.ts";
import { listPast } from "./quota-report.ts";
import type { SqlSession } from "./sql-session.ts";
import { readInteger } from "./sql-session.ts";

/** What the ledger knows of a proxy. */
export interface ProxyRow {
  /** When it last reported: now, by the clock that the ledger goes by. */
  readonly seenMs: number;
  readonly epoch: number;
  readonly lastSequence: number;
}

/**
 * Reports of one proxy go one after the other, whichever control they come through; those of the
 * proxies that it confesses for wait too. All lock in one order. Gives the reporting proxy's row.
 */
export async function lockProxies(session: SqlSession, input: QuotaReportInput): Promise<ProxyRow> {
  let own: ProxyRow | undefined;
  // Byte by byte, not by a language: all instances must agree.
  for (const proxyId of listPast(input)
    .map((past) => past.proxyId)
    .sort()) {
    if (proxyId === input.proxyId) own = await lockReporting(session, input);
    else await lockSilent(session, proxyId);
  }
  if (own === undefined) throw new Error(`proxy ${input.proxyId} has no row`);
  return own;
}

async function lockReporting(
  session: SqlSession,
  { proxyId, atMs, byStoreClock }: QuotaReportInput,
): Promise<ProxyRow | undefined> {
  const clock = byStoreClock === true ? session.clockSql : undefined;
  const [row] = await session.rows(
    `INSERT INTO quota_proxies (proxy_id, epoch, last_sequence, seen_ms)
     VALUES ($1, 0, 0, ${clock ?? "$2"})
     ON CONFLICT (proxy_id) DO UPDATE SET seen_ms = excluded.seen_ms
     RETURNING epoch, last_sequence, seen_ms`,
    clock === undefined ? [proxyId, atMs] : [proxyId],
  );
  return row === undefined ? undefined : readProxyRow(row);
}

/** One that does not report itself counts for nothing among those that share what there is. */
async function lockSilent(session: SqlSession, proxyId: string): Promise<void> {
  await session.run(
    `INSERT INTO quota_proxies (proxy_id, epoch, last_sequence, seen_ms) VALUES ($1, 0, 0, 0)
     ON CONFLICT (proxy_id) DO UPDATE SET seen_ms = quota_proxies.seen_ms`,
    [proxyId],
  );
}

/** Locks the row of a proxy that is there. */
export async function lockKnownProxy(
  session: SqlSession,
  proxyId: string,
): Promise<ProxyRow | undefined> {
  const [row] = await session.rows(
    `UPDATE quota_proxies SET seen_ms = seen_ms WHERE proxy_id = $1
     RETURNING epoch, last_sequence, seen_ms`,
    [proxyId],
  );
  return row === undefined ? undefined : readProxyRow(row);
}

/**
 * What these epochs still report is refused from now on. The next start of the proxy reports from
 * the first number on, also where a clock that was set back gave it the number that is set here.
 */
export async function endEpochs(
  session: SqlSession,
  { proxyId, before }: PastEpochs,
): Promise<void> {
  await session.run(
    "UPDATE quota_proxies SET epoch = $2, last_sequence = 0 WHERE proxy_id = $1 AND epoch < $2",
    [proxyId, before],
  );
}

export async function countProxies(session: SqlSession, atMs: number): Promise<number> {
  const [row] = await session.rows("SELECT COUNT(*) AS n FROM quota_proxies WHERE seen_ms > $1", [
    atMs - SEEN_MS,
  ]);
  return Math.max(1, row === undefined ? 1 : readInteger(row, "n"));
}

function readProxyRow(row: Parameters<typeof readInteger>[0]): ProxyRow {
  return {
    seenMs: readInteger(row, "seen_ms"),
    epoch: readInteger(row, "epoch"),
    lastSequence: readInteger(row, "last_sequence"),
  };
}

/** A proxy reports at least so often while it holds anything. */
const SEEN_MS = 60_000;
