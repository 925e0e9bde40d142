import type { Pot } from "./pot.ts";
import { WHOLE_SHARE } from "./rate-level.ts";

/**
 * How much a bucket's lease should leave to be reserved, in the account's own measure: a few bites,
 * and what will be spent while the ledger is out. 0 for one that is not used.
 */
export function sizeLease(pot: Pot): number {
  const { demand, bound } = pot;
  const { limit } = bound;
  if (limit.kind === "concurrency") {
    return demand.bite === 0 ? 0 : Math.max(SLOTS, Math.ceil(pot.current.outstanding / 2));
  }
  if (limit.kind === "budget") {
    return Math.ceil(Math.max(BITES * demand.bite, limit.surviveMs * demand.perMs));
  }
  const speed = limit.amount === 0 ? 0 : (demand.perMs * limit.periodMs * HEADROOM) / limit.amount;
  const bites = limit.burst === 0 ? 0 : (BITES * demand.bite) / limit.burst;
  return Math.min(WHOLE_SHARE, Math.ceil(Math.max(speed, bites) * WHOLE_SHARE));
}

/** What the account has to be measured against that. */
export function holding(pot: Pot): number {
  const { current } = pot;
  return current.rate === undefined ? current.available : current.rate.share;
}

/** What is beyond the size, when that is worth a return; else 0. */
export function excessOf(pot: Pot): number {
  const size = sizeLease(pot);
  const held = holding(pot);
  return held > size * TOLERANCE ? held - size : 0;
}

const BITES = 8;
const SLOTS = 4;
const HEADROOM = 1.5;
const TOLERANCE = 1.25;
