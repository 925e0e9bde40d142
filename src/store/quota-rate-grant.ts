import { MICRO, WHOLE_RATE } from "./quota-report.ts";

/** A rate, as its policy says it. */
export interface RateTerms {
  readonly amount: number;
  readonly periodMs: number;
  readonly burst: number;
}

/**
 * The level of the share that nobody holds, at a later time: it fills by its part of the rate up to
 * its part of the burst. In millionths of the unit, whole; time never runs backwards here.
 */
export function refillLevel(
  rate: RateTerms,
  pool: { readonly level: number; readonly share: number },
  elapsedMs: number,
): number {
  const filled = (pool.share * rate.amount * Math.max(0, elapsedMs)) / rate.periodMs;
  return Math.floor(Math.min(pool.level + filled, pool.share * rate.burst));
}

export interface RateQuestion extends RateTerms {
  /** The share that nobody holds, in millionths, and its level. */
  readonly share: number;
  readonly level: number;
  /** The share that the asking proxy holds. */
  readonly held: number;
  /** What must come into the lease's level, in millionths of the unit; 0 when nobody waits. */
  readonly need: number;
  /** The share that the proxy would like to have. */
  readonly want: number;
  readonly scarce: boolean;
  readonly proxies: number;
}

export interface RateGrant {
  readonly share: number;
  readonly level: number;
}

const nothing: RateGrant = { share: 0, level: 0 };

/**
 * How much of a rate to grant. A share takes its part of the level along, so that all proxies
 * together admit no more than one that held everything. A rate too small to be divided goes whole.
 */
export function decideRateGrant(question: RateQuestion): RateGrant {
  const { share, level, need, want, proxies } = question;
  if (share <= 0 || (need > 0 && level < need) || (need <= 0 && want <= 0)) return nothing;
  if (isIndivisible(question, proxies)) {
    // Who only wishes does not take a home away from who will need it.
    return need > 0 || share === WHOLE_RATE ? { share, level } : nothing;
  }
  const fair = Math.max(0, Math.floor(WHOLE_RATE / Math.max(1, proxies)) - question.held);
  const calm = question.scarce ? fair : Math.max(fair, Math.floor(share / 2));
  const needed = need > 0 ? Math.ceil((need / level) * share) : 0;
  const granted = Math.min(share, Math.max(needed, Math.min(want, calm)));
  const part = Math.floor((granted / share) * level);
  return { share: granted, level: Math.min(level, Math.max(part, need)) };
}

/** True for a rate of which each proxy's part would be too small to admit anything in time. */
export function isIndivisible({ amount, periodMs, burst }: RateTerms, proxies: number): boolean {
  return proxies > 1 && (amount * 1000 < 2 * proxies * periodMs || burst < 2 * proxies);
}

/** How long until a share alone has filled up to a need; 0 when it never will. */
export function msUntilFilled(
  rate: RateTerms,
  pool: { readonly level: number; readonly share: number },
  need: number,
): number {
  if (pool.share * rate.amount <= 0 || need > rate.burst * MICRO) return 0;
  const lacking = Math.max(0, need - pool.level);
  return Math.max(1, Math.ceil((lacking * rate.periodMs) / (pool.share * rate.amount)));
}
