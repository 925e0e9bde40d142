import type { AnswerContext, Asking, Decision } from "./quota-answer.ts";
import { changeLease, openLease, openWindow, refillPool } from "./quota-booking.ts";
import { readHolders } from "./quota-holders.ts";
import type { RateGrant, RateQuestion } from "./quota-rate-grant.ts";
import { decideRateGrant, isIndivisible, msUntilFilled } from "./quota-rate-grant.ts";
import { askOthers, hasOtherRight } from "./quota-recall.ts";
import { MICRO, WHOLE_RATE } from "./quota-report.ts";
import type { LeaseRow } from "./quota-rows.ts";

/**
 * Grants a share of a rate with its level, and says of a need that is not there when it will be.
 */
export async function answerRate(context: AnswerContext, asking: Asking): Promise<Decision> {
  const { book, input, proxies } = context;
  const { reported, row, terms } = asking;
  const { bucket, need } = reported;
  refillPool(book, row, terms, input.atMs);
  const lease = book.lease(bucket, 0, input.epoch);
  const leased = book.window(bucket, 0)?.leased ?? 0;
  const sinceRecall = input.atMs - row.recallSinceMs;
  const question: RateQuestion = {
    amount: terms.amount,
    periodMs: terms.periodMs,
    burst: terms.burst,
    share: Math.max(0, WHOLE_RATE - leased),
    level: row.level,
    held: lease === undefined ? 0 : Math.max(0, lease.granted - lease.returned),
    need,
    want: reported.want,
    scarce: sinceRecall < SETTLING_MS,
    proxies,
  };
  // While another proxy collects, what comes back is for it.
  const collecting = hasOtherRight(row, input) && sinceRecall < COLLECTING_MS;
  const grant = collecting ? { share: 0, level: 0 } : decideRateGrant(question);
  take(context, asking, lease, grant);
  const remaining = Math.floor(row.level / MICRO);
  if (need === 0 || grant.share > 0) {
    const recalled = collecting && question.held > 0;
    return { remaining, refusal: "none", recalled, retryAfterMs: 0 };
  }
  if (collecting) {
    return { remaining, refusal: "recalling", recalled: true, retryAfterMs: RECALL_POLL_MS };
  }
  if (await worthAsking(context, asking, question)) {
    if (row.recallFor !== input.proxyId || sinceRecall >= COLLECTING_MS) row.recallSinceMs = 0;
    askOthers(book, row, input, need);
    if (row.recallSinceMs === 0) row.recallSinceMs = input.atMs;
    context.recalls.add(bucket);
    return { remaining, refusal: "recalling", recalled: false, retryAfterMs: RECALL_POLL_MS };
  }
  const fair = Math.floor(WHOLE_RATE / Math.max(1, proxies));
  const pool = { level: row.level, share: question.share === 0 ? fair : question.share };
  const retryAfterMs = msUntilFilled(terms, pool, need);
  return { remaining, refusal: "exhausted", recalled: false, retryAfterMs };
}

function take(
  { book, input, granted }: AnswerContext,
  { reported, row, current }: Asking,
  lease: LeaseRow | undefined,
  { share, level }: RateGrant,
): void {
  if (share === 0) return;
  openWindow(book, reported.bucket, 0, current.endMs);
  const key = { bucket: reported.bucket, startMs: 0, epoch: input.epoch };
  const own = lease ?? openLease(book, input, key);
  changeLease(book, own, () => {
    own.granted += share;
  });
  own.levelGranted += level;
  row.level -= level;
  granted.push({ bucket: reported.bucket, horizonMs: 0, ceiling: WHOLE_RATE });
  if (row.recallFor === input.proxyId) row.recallFor = "";
}

/**
 * Whether others hold shares that this one may ask for. One that has its fair part asks seldom: a
 * rate that is used up everywhere must not wander about for each request.
 */
async function worthAsking(
  { session, input, proxies }: AnswerContext,
  { reported, row }: Asking,
  question: RateQuestion,
): Promise<boolean> {
  if (reported.need > question.burst * MICRO || question.share >= WHOLE_RATE) return false;
  const { unreserved } = await readHolders(session, {
    bucket: reported.bucket,
    horizonMs: 0,
    input,
    recallSinceMs: row.recallSinceMs,
    whole: false,
  });
  if (unreserved === 0) return false;
  const sinceRecall = input.atMs - row.recallSinceMs;
  if (row.recallFor === input.proxyId && sinceRecall < COLLECTING_MS) return true;
  const lacks = question.held < Math.floor(WHOLE_RATE / Math.max(1, proxies));
  return sinceRecall > (isIndivisible(question, proxies) || lacks ? ASK_MS : ASK_SELDOM_MS);
}

const RECALL_POLL_MS = 50;
const COLLECTING_MS = 500;
const SETTLING_MS = 2000;
const ASK_MS = 1000;
const ASK_SELDOM_MS = 10_000;
