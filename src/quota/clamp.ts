import { boundAmount, countsOutput } from "./amount.ts";
import type { Pot } from "./pot.ts";
import { remainingOf } from "./quota-errors.ts";
import type { Ticket } from "./ticket.ts";

/** A shorter answer than this is none. */
export const CLAMP_TOKENS_MIN = 16;

/**
 * Lowers a ticket's output limit to the most that a bucket can have: what is here and what the
 * ledger last said to be left. False when even a short answer is too much, or a shorter one would
 * change nothing.
 */
export function fitAnswer(ticket: Ticket, pot: Pot, nowMs: number): boolean {
  const asked = ticket.outputTokensMax;
  if (asked === undefined || !countsOutput(pot.unit)) return false;
  const room = remainingOf(pot, nowMs) + Math.min(0, pot.current.available);
  const { target, bound } = ticket.purpose;
  const amountOf = (each: Pot, output: number) =>
    boundAmount(each.bound.limit, target, bound, output) ?? 0;
  let low = CLAMP_TOKENS_MIN - 1;
  let high = asked - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (amountOf(pot, middle) <= room) low = middle;
    else high = middle - 1;
  }
  if (low < CLAMP_TOKENS_MIN || low >= asked) return false;
  ticket.outputTokensMax = low;
  ticket.pots.forEach((each, i) => {
    if (countsOutput(each.unit)) ticket.amounts[i] = amountOf(each, low);
  });
  return true;
}
