import type { RateState, RateStates } from "../mesh/quota.ts";
import type { Pot } from "./pot.ts";
import { remainingOf } from "./quota-errors.ts";

/** The tightest rate limits among some pots; undefined where there is none. */
export function readRates(
  path: readonly Pot[],
  provider: string,
  nowMs: number,
): RateStates | undefined {
  let requests: RateState | undefined;
  let tokens: RateState | undefined;
  for (const pot of path) {
    const { limit } = pot.bound;
    if (limit.kind !== "rate" || limit.audit || limit.unit === "nano_usd") continue;
    if (!limit.concernsProvider(provider)) continue;
    const state = readRate(pot, nowMs);
    if (limit.unit === "requests") requests = tighter(requests, state);
    else tokens = tighter(tokens, state);
  }
  return requests === undefined && tokens === undefined ? undefined : { requests, tokens };
}

function readRate(pot: Pot, nowMs: number): RateState {
  const { amount, burst, periodMs } = pot.bound.limit;
  const left = Math.max(0, remainingOf(pot, nowMs));
  const lacking = Math.max(0, burst - left);
  return {
    limit: amount,
    // A burst above the rate would have clients count that less than nothing is used.
    remaining: Math.min(left, amount),
    resetMs: Math.ceil((lacking * periodMs) / Math.max(amount, 1)),
  };
}

function tighter(a: RateState | undefined, b: RateState): RateState {
  return a === undefined || b.remaining < a.remaining ? b : a;
}
