import { type LeaseGrant, LeaseGrant_Refusal } from "../../gen/weir/link/v1/link_service_pb.ts";
import { type Account, type LeaseTotals, NO_WINDOW } from "./account.ts";
import { sizeLease } from "./lease-size.ts";
import type { Pot } from "./pot.ts";
import type { SentLease } from "./report-lease.ts";

/** When a reply came and what it answers. */
export interface Heard {
  readonly nowMs: number;
  /** When its report was first sent: the ledger's clock cannot have been earlier. */
  readonly sentAtMs: number;
  /** What was asked for the bucket; undefined when it was not. */
  readonly sent: SentLease | undefined;
}

/** Takes up the ledger's word on one lease. Returns the account that others need back, if so. */
export function hearGrant(pot: Pot, grant: LeaseGrant, heard: Heard): Account | undefined {
  const windowStartMs = Number(grant.windowStartMs);
  const endsInMs = Number(grant.windowEndsInMs);
  const endsAtMs = endsInMs === -1 ? Number.POSITIVE_INFINITY : heard.sentAtMs + endsInMs;
  const before = pot.current.granted;
  const account = findAccount(pot, windowStartMs, grant, heard.nowMs);
  const { sent } = heard;
  // Where several needed too much together, the first is asked for alone.
  const asked = sent?.alone === true && sent.need > 0;
  pot.patient = asked && pot.current.granted === before;
  if (account !== undefined) hearWindow(pot, account, endsAtMs, heard.nowMs);
  const answersCurrent = account === pot.current || pot.current.windowStartMs === NO_WINDOW;
  if (answersCurrent) hearWord(pot, grant, endsAtMs, heard);
  if (account === undefined) return undefined;
  if (grant.recalled) account.recalledUntilMs = heard.nowMs + RECALL_MS;
  if (grant.recalled || wasOvertaken(account, heard, before)) return account;
  return undefined;
}

/**
 * A recall may overtake the answer that grants what it was to bring back, and finds nothing. The
 * home of a rate is asked for anew each time.
 */
function wasOvertaken(account: Account, { nowMs }: Heard, grantedBefore: number): boolean {
  if (account.rate !== undefined || nowMs >= account.recalledUntilMs) return false;
  // Who waited when it was asked for may have gone.
  return account.granted > grantedBefore && account.pot.waiters.size === 0;
}

/** How long what is settled goes back after a recall, too. */
export const RECALL_MS = 10_000;

/** Gives back what others need: all that is not reserved. */
export function yieldLease(account: Account, nowMs: number): void {
  const { rate, pot } = account;
  if (rate === undefined) {
    account.giveBack(account.available, nowMs);
    return;
  }
  // A small rate has one home at a time; of a large one half stays where it is in use.
  const { amount, periodMs } = pot.bound.limit;
  const perSecond = (amount * 1000) / periodMs;
  const used = pot.waiters.size > 0 || pot.demand.perMs > 0 ? sizeLease(pot) : 0;
  const kept = perSecond < HOME_PER_SECOND ? 0 : Math.min(used, Math.floor(rate.share / 2));
  account.giveBack(rate.share - kept, nowMs);
}

const HOME_PER_SECOND = 50;

function findAccount(
  pot: Pot,
  windowStartMs: number,
  grant: LeaseGrant,
  nowMs: number,
): Account | undefined {
  const totals = readTotals(grant);
  const known = pot.find(windowStartMs);
  if (known !== undefined && windowStartMs !== NO_WINDOW) {
    known.grant(totals, nowMs);
    return known;
  }
  if (pot.current.windowStartMs !== NO_WINDOW || totals.granted === 0) return undefined;
  pot.current.bind(windowStartMs, totals, nowMs);
  return pot.current;
}

/** A window ends by the ledger's word, and may go on where this clock was too careful. */
function hearWindow(pot: Pot, account: Account, endsAtMs: number, nowMs: number): void {
  account.endsAtMs = endsAtMs;
  account.over = endsAtMs <= nowMs;
  if (account === pot.current) {
    if (account.over) pot.roll(nowMs);
    return;
  }
  const unused = pot.current.windowStartMs === NO_WINDOW && pot.current.used === 0;
  if (!account.over && unused) pot.revive(account);
  else if (account.available > 0) account.giveBack(account.available, nowMs);
}

function hearWord(pot: Pot, grant: LeaseGrant, endsAtMs: number, heard: Heard): void {
  const { nowMs, sent } = heard;
  const retryMs = Number(grant.retryAfterMs);
  pot.word = {
    ceiling: Number(grant.ceiling),
    remaining: Number(grant.remaining),
    spent: Number(grant.spent),
    retryAtMs: retryMs > 0 ? nowMs + retryMs : undefined,
    windowEndsAtMs: endsAtMs === Number.POSITIVE_INFINITY ? undefined : endsAtMs,
  };
  pot.recalling = grant.refusal === LeaseGrant_Refusal.RECALLING;
  pot.closed = undefined;
  pot.refusedUntilMs = Number.NEGATIVE_INFINITY;
  pot.lowWater = sizeLease(pot) / LOW_PART;
  switch (grant.refusal) {
    case LeaseGrant_Refusal.GONE:
    case LeaseGrant_Refusal.SUSPENDED:
      pot.closed = grant.refusal === LeaseGrant_Refusal.GONE ? "gone" : "suspended";
      pot.closedUntilMs = nowMs + CLOSED_MS;
      break;
    case LeaseGrant_Refusal.FULL:
      pot.closed = "full";
      pot.closedUntilMs = nowMs + FULL_MS;
      break;
    case LeaseGrant_Refusal.EXHAUSTED:
      if (sent === undefined || !sent.alone || sent.need === 0) break;
      pot.refusedNeed = sent.need;
      pot.refusedUntilMs = nowMs + Math.min(REFUSED_MS, retryMs > 0 ? retryMs : REFUSED_MS);
      break;
    default:
  }
}

const LOW_PART = 4;
/** How long the ledger's no is believed: it spares the ledger those who ask again and again. */
const REFUSED_MS = 500;
const CLOSED_MS = 1_000;
const FULL_MS = 10_000;

function readTotals(grant: LeaseGrant): LeaseTotals {
  return {
    granted: Number(grant.granted),
    levelGranted: Number(grant.levelGranted),
    confirmed: Number(grant.confirmed),
    returned: Number(grant.returned),
    levelReturned: Number(grant.levelReturned),
  };
}
