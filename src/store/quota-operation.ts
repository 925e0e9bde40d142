import type { AnswerContext, Decision } from "./quota-answer.ts";
import { answerAmount } from "./quota-answer.ts";
import { answerRate } from "./quota-answer-rate.ts";
import { bookReport } from "./quota-booking.ts";
import { assertWithinCeilings, findViolations } from "./quota-check.ts";
import { findRefused } from "./quota-crowd.ts";
import { nameLeases, openBook, resolveStart } from "./quota-locks.ts";
import type { ProxyRow } from "./quota-proxies.ts";
import { countProxies, endEpochs, lockProxies } from "./quota-proxies.ts";
import type {
  QuotaGrant,
  QuotaReportInput,
  QuotaReportOutcome,
  ReportedLease,
} from "./quota-report.ts";
import { listPast } from "./quota-report.ts";
import { readSuspension, suspend } from "./quota-suspension.ts";
import type { SqlSession } from "./sql-session.ts";

/**
 * Applies one report in one transaction: books it, grants what fits, and answers. A report that was
 * applied before is answered from what is there, and grants nothing once more. One that shows that
 * the ledger has lost what it had committed stops all granting until somebody resumes it.
 */
export async function reportQuota(
  session: SqlSession,
  given: QuotaReportInput,
): Promise<QuotaReportOutcome> {
  const proxy = await lockProxies(session, given);
  if (given.epoch < proxy.epoch) {
    const { proxyId } = given;
    const reason = `A later start of proxy ${proxyId} reports, or what it held was released.`;
    return { outcome: "refused", reason };
  }
  const begins = given.epoch > proxy.epoch;
  const repeated = !begins && given.sequence <= proxy.lastSequence;
  const leases = repeated ? await nameLeases(session, given) : given.leases;
  const all = { ...given, leases, atMs: proxy.seenMs };
  const refused = await findRefused(session, all);
  const input = refused.size === 0 ? all : { ...all, terms: without(all.terms, refused) };
  const book = await openBook(session, input, begins || input.confessions.length > 0);
  const recalls = new Set<string>();
  const proxies = await countProxies(session, input.atMs);
  const context: AnswerContext = { session, book, input, proxies, recalls, granted: [] };
  let doubts: readonly string[] = [];
  if (!repeated) {
    doubts = [...doubtOrder(input, proxy), ...bookReport(book, input)];
    await session.run(
      "UPDATE quota_proxies SET epoch = $2, last_sequence = $3 WHERE proxy_id = $1",
      [input.proxyId, input.epoch, input.sequence],
    );
    for (const past of listPast(input)) {
      if (past.proxyId !== input.proxyId) await endEpochs(session, past);
    }
  }
  const suspension = await readSuspension(session);
  const fresh = suspension === undefined && doubts.length > 0 ? doubts.join(" ") : undefined;
  if (fresh !== undefined) await suspend(session, fresh, input.atMs);
  const suspended = suspension !== undefined || fresh !== undefined;
  const grants: QuotaGrant[] = [];
  for (const lease of input.leases) {
    const grant = refused.has(lease.bucket)
      ? { ...describe(context, lease, full), windowEndsInMs: -1 }
      : await answer(context, lease, { repeated, suspended });
    grants.push(grant);
  }
  await book.save(session);
  await assertWithinCeilings(session, context.granted);
  const violations = await findViolations(session, book);
  return {
    outcome: "answered",
    grants,
    recalls: [...recalls],
    violations,
    stopped: suspended,
    suspended: fresh,
  };
}

function without<T>(map: ReadonlyMap<string, T>, keys: ReadonlySet<string>): Map<string, T> {
  return new Map([...map].filter(([key]) => !keys.has(key)));
}

/** Each report is sent only behind the answer to the one before, which was committed. */
function doubtOrder(input: QuotaReportInput, proxy: ProxyRow): string[] {
  const { proxyId, epoch, sequence, previousEpoch } = input;
  const last = epoch > proxy.epoch ? 0 : proxy.lastSequence;
  if (sequence > last + 1) {
    return [`${proxyId} sends report ${sequence}, and the ledger knows of ${last}.`];
  }
  if (epoch > proxy.epoch && previousEpoch > proxy.epoch) {
    return [`${proxyId} was answered in epoch ${previousEpoch}, which the ledger does not know.`];
  }
  return [];
}

async function answer(
  context: AnswerContext,
  reported: ReportedLease,
  state: { readonly repeated: boolean; readonly suspended: boolean },
): Promise<QuotaGrant> {
  const { book, input } = context;
  const { bucket } = reported;
  const row = book.bucket(bucket);
  const terms = input.terms.get(bucket);
  const current = book.currentOf(bucket);
  if (row === undefined || terms === undefined || current === undefined) {
    return describe(context, reported, gone);
  }
  if (row.ceiling !== terms.amount || row.newestStartMs < current.startMs) {
    row.ceiling = terms.amount;
    row.newestStartMs = Math.max(row.newestStartMs, current.startMs);
    book.change(row);
  }
  const remaining = Math.max(0, terms.amount - book.usedFrom(bucket, current.horizonMs));
  // What ended is only settled: for more a lease in the window that is now is asked for.
  if (resolveStart(book, reported) !== current.startMs) {
    return describe(context, reported, { ...settled, remaining });
  }
  if (state.suspended) {
    const refusal = reported.need > 0 ? "suspended" : "none";
    return describe(context, reported, { ...settled, remaining, refusal });
  }
  if (state.repeated) {
    const known = book.lease(bucket, current.startMs, input.epoch)?.granted ?? 0;
    // Whether it was refused then is not kept: the next report will tell.
    const again = reported.need > 0 && known <= reported.granted;
    const decision: Decision = again
      ? { remaining, refusal: "recalling", recalled: false, retryAfterMs: 50 }
      : { ...settled, remaining };
    return describe(context, reported, decision);
  }
  const asking = { reported, row, terms, current };
  const decide = terms.kind === "rate" ? answerRate : answerAmount;
  return describe(context, reported, await decide(context, asking));
}

/** The totals as they stand now, with what was decided. */
function describe(
  { book, input }: AnswerContext,
  reported: ReportedLease,
  decision: Decision,
): QuotaGrant {
  const { bucket } = reported;
  const row = book.bucket(bucket);
  const current = book.currentOf(bucket);
  const startMs = resolveStart(book, reported) ?? reported.windowStartMs;
  const lease = book.lease(bucket, startMs, input.epoch);
  const nowMs = Math.max(input.atMs, row?.newestStartMs ?? 0);
  const lasts = current?.startMs === startMs;
  const endsInMs = lasts ? current.endMs - nowMs : 0;
  return {
    bucket,
    windowStartMs: startMs,
    windowEndsInMs: endsInMs === Number.POSITIVE_INFINITY ? -1 : Math.max(0, Math.floor(endsInMs)),
    granted: lease?.granted ?? 0,
    confirmed: lease?.confirmed ?? 0,
    returned: lease?.returned ?? 0,
    levelGranted: lease?.levelGranted ?? 0,
    levelReturned: lease?.levelReturned ?? 0,
    ceiling: input.terms.get(bucket)?.amount ?? row?.ceiling ?? 0,
    spent: current === undefined ? 0 : book.spentFrom(bucket, current.horizonMs),
    ...decision,
  };
}

const settled: Decision = { remaining: 0, refusal: "none", recalled: false, retryAfterMs: 0 };
const full: Decision = { remaining: 0, refusal: "full", recalled: false, retryAfterMs: 0 };
const gone: Decision = { remaining: 0, refusal: "gone", recalled: true, retryAfterMs: 1000 };
