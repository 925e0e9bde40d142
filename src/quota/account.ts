import type { Pot } from "./pot.ts";
import { RateLevel } from "./rate-level.ts";

/** The window of an account that has no lease yet. */
export const NO_WINDOW = -1;

/**
 * A lease: what this proxy holds of one bucket in one window. All amounts are whole, in the unit of
 * the limit; those of a rate are millionths of it, and its level tells what may be taken. Granted,
 * confirmed and returned only ever rise.
 */
export class Account {
  readonly pot: Pot;
  readonly rate: RateLevel | undefined;
  windowStartMs = NO_WINDOW;
  /** On Clock.now(): no reservation is taken from then on. */
  endsAtMs = Number.POSITIVE_INFINITY;
  granted = 0;
  confirmed = 0;
  returned = 0;
  outstanding = 0;
  /** What may be reserved: below 0 after an overrun, until the next grant covers it. */
  available = 0;
  levelGranted = 0;
  levelReturned = 0;
  /** So much may be used before the disk must know of it. */
  watermark = 0;
  /** Until then, on Clock.now(), what is settled goes back to the ledger. */
  recalledUntilMs = Number.NEGATIVE_INFINITY;
  /** True when the ledger does not know all of its totals yet. */
  dirty = false;
  /** What the ledger has echoed of them. */
  echoedConfirmed = 0;
  echoedReturned = 0;
  echoedLevel = 0;
  /** True when the ledger itself has said that the window is over. */
  over = false;

  constructor(pot: Pot, nowMs: number) {
    this.pot = pot;
    const { kind } = pot.bound.limit;
    this.rate = kind === "rate" ? new RateLevel(pot.bound.limit, nowMs) : undefined;
  }

  fits(amount: number, nowMs: number): boolean {
    if (nowMs >= this.endsAtMs) return false;
    return this.rate === undefined ? this.available >= amount : this.rate.fits(amount, nowMs);
  }

  /** Takes an amount, whether it fits or not. Returns what settle() wants to know. */
  reserve(amount: number, nowMs: number): number {
    if (this.rate !== undefined) return this.rate.take(amount, nowMs);
    this.available -= amount;
    this.outstanding += amount;
    return 0;
  }

  /** Of what was reserved, so much is spent; the rest may be reserved again. */
  settle(reserved: number, spent: number, mark: number, nowMs: number): void {
    if (this.rate !== undefined) {
      this.rate.refund(reserved - spent, mark, nowMs);
      return;
    }
    this.outstanding -= reserved;
    this.confirmed += spent;
    this.available += reserved - spent;
  }

  /** Gives an amount back to the ledger: of a rate, that share. */
  giveBack(amount: number, nowMs: number): void {
    if (amount <= 0) return;
    this.returned += amount;
    this.available -= amount;
    if (this.rate !== undefined) this.levelReturned += this.rate.giveUp(amount, nowMs);
    this.dirty = true;
  }

  /** Takes up the ledger's totals; older ones change nothing. */
  grant(totals: LeaseTotals, nowMs: number): void {
    const more = Math.max(0, totals.granted - this.granted);
    const level = Math.max(0, totals.levelGranted - this.levelGranted);
    this.granted += more;
    this.available += more;
    this.levelGranted += level;
    this.rate?.grant(more, level, nowMs);
    this.echoedConfirmed = totals.confirmed;
    this.echoedReturned = totals.returned;
    this.echoedLevel = totals.levelReturned;
  }

  /**
   * Becomes the lease of a window. Where the ledger has booked something of it, that is a lease
   * that was empty and forgotten here: only what is granted beyond can be reserved.
   */
  bind(windowStartMs: number, totals: LeaseTotals, nowMs: number): void {
    this.windowStartMs = windowStartMs;
    this.granted = totals.confirmed + totals.returned;
    this.confirmed += totals.confirmed;
    this.returned += totals.returned;
    this.levelReturned += totals.levelReturned;
    this.grant(totals, nowMs);
  }

  /** What is spent or under way: what a crash could cost at most. */
  get used(): number {
    return this.confirmed + this.outstanding;
  }

  /** True when nothing of it is left to give, to spend or to report. */
  get settled(): boolean {
    return (
      !this.dirty &&
      this.outstanding === 0 &&
      this.granted === this.confirmed + this.returned &&
      this.levelReturned === this.echoedLevel &&
      this.echoedConfirmed === this.confirmed &&
      this.echoedReturned === this.returned
    );
  }

  /** The sum that always holds. */
  get sound(): boolean {
    return this.granted === this.available + this.outstanding + this.confirmed + this.returned;
  }
}

/** The ledger's totals of a lease. */
export interface LeaseTotals {
  readonly granted: number;
  readonly levelGranted: number;
  /** What is booked of what this proxy has reported; 0 from a ledger that does not say. */
  readonly confirmed: number;
  readonly returned: number;
  readonly levelReturned: number;
}
