import { RefundRoom } from "./refund-room.ts";

/** A whole rate, in millionths. */
export const WHOLE_SHARE = 1_000_000;

/** Of a unit that a level counts in. */
export const MICRO = 1_000_000;

/** What a rate admits, whole. */
export interface Rate {
  /** Units that come in each period. */
  readonly amount: number;
  readonly periodMs: number;
  /** Units at once. */
  readonly burst: number;
}

/**
 * The part of a rate that this proxy holds: a bucket that fills by its share of the rate up to its
 * share of the burst. Since the shares of all proxies never exceed the whole, neither does what
 * they admit together. The level counts in millionths of the unit.
 */
export class RateLevel {
  /** In millionths of the rate. */
  share = 0;
  #rate: Rate;
  #level = 0;
  #atMs: number;
  readonly #room = new RefundRoom();

  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#atMs = nowMs;
  }

  get rate(): Rate {
    return this.#rate;
  }

  /** The policy was edited: what is above the new burst is gone. */
  change(rate: Rate, nowMs: number): void {
    if (rate.amount === this.#rate.amount && rate.periodMs === this.#rate.periodMs) {
      if (rate.burst === this.#rate.burst) return;
    }
    this.#fill(nowMs);
    this.#rate = rate;
    this.#level = Math.min(this.#level, this.#capacity());
    this.#room.note(this.#capacity() - this.#level);
  }

  /** In millionths of the unit; below 0 after an overrun. */
  levelAt(nowMs: number): number {
    this.#fill(nowMs);
    return this.#level;
  }

  fits(units: number, nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#level >= units * MICRO;
  }

  /** Takes units, whether they fit or not. Returns what refund() wants to know. */
  take(units: number, nowMs: number): number {
    this.#fill(nowMs);
    const mark = this.#room.note(this.#capacity() - this.#level);
    this.#level -= units * MICRO;
    return mark;
  }

  /**
   * Gives back units taken at `mark`, as far as they would still be there had they never been
   * taken: while the bucket was full, what flowed over is lost to them too. Negative units are an
   * overrun and lower the level.
   */
  refund(units: number, mark: number, nowMs: number): void {
    this.#fill(nowMs);
    const room = this.#capacity() - this.#level;
    const back = Math.min(units * MICRO, this.#room.leastSince(mark), room);
    if (units < 0) this.#level += units * MICRO;
    else if (back > 0) this.#level += back;
  }

  /** Takes up a further share with the level that comes with it. */
  grant(share: number, level: number, nowMs: number): void {
    this.#fill(nowMs);
    this.share += share;
    this.#level = Math.min(this.#level + level, this.#capacity());
  }

  /** Gives up a share; returns the level that goes with it, in whole millionths. */
  giveUp(share: number, nowMs: number): number {
    this.#fill(nowMs);
    const part = this.share === 0 ? 0 : share / this.share;
    const level = Math.max(0, Math.floor(this.#level * part));
    this.share -= share;
    this.#level = Math.min(this.#level - level, this.#capacity());
    this.#room.note(this.#capacity() - this.#level);
    return level;
  }

  /** How long until this share alone holds so many units; undefined when it never will. */
  msUntil(units: number, nowMs: number): number | undefined {
    this.#fill(nowMs);
    const lacking = units * MICRO - this.#level;
    if (lacking <= 0) return 0;
    if (this.share === 0 || units * MICRO > this.#capacity()) return undefined;
    return Math.ceil((lacking * this.#rate.periodMs) / (this.share * this.#rate.amount));
  }

  #capacity(): number {
    return this.share * this.#rate.burst;
  }

  #fill(nowMs: number): void {
    if (nowMs <= this.#atMs) return;
    const { amount, periodMs } = this.#rate;
    const filled = this.#level + ((nowMs - this.#atMs) * this.share * amount) / periodMs;
    const capacity = this.#capacity();
    this.#level = filled < capacity ? filled : capacity;
    this.#atMs = nowMs;
  }
}
