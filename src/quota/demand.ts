/** How fast a bucket is spent from, and by what bites: what the size of its lease follows. */
export class Demand {
  /** What one reservation takes: rises at once, falls slowly. */
  bite = 0;
  /** All that was ever spent, or taken from a rate. */
  spent = 0;
  /** Units a millisecond, over about ten seconds. */
  perMs = 0;
  /** On Clock.now(): when something was last reserved or settled. */
  usedAtMs = 0;
  #spentBefore = 0;
  #bornAtMs = Number.NaN;
  #tickedAtMs = Number.NaN;
  #sum = 0;
  /** How much of its memory is filled: the speed of the first seconds counts whole. */
  #weight = 0;

  /** Notes a reservation; on the hot path. */
  bitten(amount: number): void {
    this.bite = amount >= this.bite ? amount : this.bite + (amount - this.bite) * BITE_DECAY;
  }

  /** Nothing is used any more: no lease is wished for. */
  rest(): void {
    this.bite = 0;
    this.perMs = 0;
    this.#sum = 0;
    this.#weight = 0;
    this.#bornAtMs = Number.NaN;
    this.#tickedAtMs = Number.NaN;
  }

  /** Brings the speed up to date; every second or so. */
  tick(nowMs: number): void {
    const elapsed = nowMs - this.#tickedAtMs;
    if (Number.isNaN(elapsed)) {
      this.#bornAtMs = nowMs;
      this.#tickedAtMs = nowMs;
      this.#spentBefore = this.spent;
    }
    if (!(elapsed >= TICK_MS_MIN)) return;
    const speed = Math.max(0, this.spent - this.#spentBefore) / elapsed;
    const part = 1 - Math.exp(-elapsed / MEMORY_MS);
    this.#sum += (speed - this.#sum) * part;
    this.#weight += (1 - this.#weight) * part;
    this.perMs = this.#sum / this.#weight;
    this.#spentBefore = this.spent;
    this.#tickedAtMs = nowMs;
  }

  /** True once the speed is known well enough to give something back. */
  isKnown(nowMs: number): boolean {
    return nowMs - this.#bornAtMs >= LEARN_MS;
  }
}

const BITE_DECAY = 0.05;
const MEMORY_MS = 10_000;
const TICK_MS_MIN = 100;
const LEARN_MS = 5_000;
