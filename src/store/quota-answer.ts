import type { TimeWindow } from "../mesh/window.ts";
import type { QuotaBook } from "./quota-book.ts";
import { changeLease, openLease, openWindow } from "./quota-booking.ts";
import type { GrantedFrom } from "./quota-check.ts";
import { decideGrant } from "./quota-grant.ts";
import type { Holders } from "./quota-holders.ts";
import { readHolders } from "./quota-holders.ts";
import { askOthers, hasOtherRight, isScarce, releaseRight } from "./quota-recall.ts";
import type { QuotaGrant, QuotaReportInput, QuotaTerms, ReportedLease } from "./quota-report.ts";
import type { BucketRow, LeaseRow } from "./quota-rows.ts";
import type { SqlSession } from "./sql-session.ts";

/** What answers to a report have in common. */
export interface AnswerContext {
  readonly session: SqlSession;
  readonly book: QuotaBook;
  readonly input: QuotaReportInput;
  /** Proxies that have reported lately. */
  readonly proxies: number;
  /** Buckets whose other holders are asked to give back; grows. */
  readonly recalls: Set<string>;
  /** From which buckets something was granted; grows. */
  readonly granted: GrantedFrom[];
}

/** A lease that asks in the window that is now. */
export interface Asking {
  readonly reported: ReportedLease;
  readonly row: BucketRow;
  readonly terms: QuotaTerms;
  readonly current: TimeWindow;
}

/** The part of an answer that a decision makes. */
export type Decision = Pick<QuotaGrant, "remaining" | "refusal" | "recalled" | "retryAfterMs">;

/** Grants from a budget or slots what fits, and says of what does not fit why, and when to ask. */
export async function answerAmount(context: AnswerContext, asking: Asking): Promise<Decision> {
  const { book, input, proxies } = context;
  const { reported, row, terms, current } = asking;
  const { bucket, need } = reported;
  const lease = book.lease(bucket, current.startMs, input.epoch);
  const used = book.usedFrom(bucket, current.horizonMs);
  const free = terms.amount - used;
  const debt = lease === undefined ? 0 : debtOf(lease);
  const othersTurn = hasOtherRight(row, input);
  const scarce =
    isScarce(row, input.atMs) && isLittle(free, Math.max(need, row.recallNeed), proxies);
  const granted = decideGrant({
    ceiling: terms.amount,
    used,
    reserved: othersTurn ? row.recallNeed : 0,
    debt,
    need,
    want: reported.want,
    scarce,
    proxies,
  });
  if (granted > 0) {
    openWindow(book, bucket, current.startMs, current.endMs);
    const key = { bucket, startMs: current.startMs, epoch: input.epoch };
    const own = lease ?? openLease(book, input, key);
    changeLease(book, own, () => {
      own.granted += granted;
    });
    context.granted.push({ bucket, horizonMs: current.horizonMs, ceiling: terms.amount });
    if (need > 0) releaseRight(book, row, input);
  }
  const left = terms.amount - book.usedFrom(bucket, current.horizonMs);
  const overdrawn = left < 0;
  const remaining = Math.max(0, left);
  if (need === 0 || granted > 0) {
    const recalled = overdrawn || (scarce && (need === 0 || othersTurn));
    return { remaining, refusal: "none", recalled, retryAfterMs: 0 };
  }
  const holders = await readHolders(context.session, {
    bucket,
    horizonMs: current.horizonMs,
    input,
    recallSinceMs: row.recallSinceMs,
    whole: true,
  });
  if (free + debt + holders.unreserved < need) {
    releaseRight(book, row, input);
    const retryAfterMs = findRetry(holders, lease, current, input.atMs);
    return { remaining, refusal: "exhausted", recalled: overdrawn, retryAfterMs };
  }
  if (!othersTurn) {
    askOthers(book, row, input, need);
    context.recalls.add(bucket);
  }
  const recalled = overdrawn || othersTurn;
  return { remaining, refusal: "recalling", recalled, retryAfterMs: RECALL_POLL_MS };
}

/** What a lease was spent beyond what was granted. */
function debtOf({ granted, confirmed, returned }: LeaseRow): number {
  return Math.max(0, confirmed + returned - granted);
}

/** So little that leases of the usual size would leave nothing for others. */
function isLittle(free: number, need: number, proxies: number): boolean {
  return free < LITTLE * 2 * proxies * Math.max(1, need);
}

function findRetry(
  holders: Holders,
  lease: LeaseRow | undefined,
  current: TimeWindow,
  atMs: number,
): number {
  // Requests under way may leave something.
  if (holders.held > 0 || (lease?.outstanding ?? 0) > 0) return UNDER_WAY_MS;
  return Number.isFinite(current.endMs) ? Math.max(1, current.endMs - atMs) : 0;
}

const LITTLE = 8;
const RECALL_POLL_MS = 50;
const UNDER_WAY_MS = 1000;
