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
  #tickedAtMs = Number.NaN;

  /** Notes a reservation; on the hot path. */
  bitten(amount: number): void {
    this.bite = amount >= this.bite ? amount : this.bite + (amount - this.bite) * BITE_DECAY;
  }

  /** Nothing is used any more: no lease is wished for. */
  rest(): void {
    this.bite = 0;
    this.perMs = 0;
  }

  /** Brings the speed up to date; every second or so. */
  tick(nowMs: number): void {
    const elapsed = nowMs - this.#tickedAtMs;
    if (Number.isNaN(elapsed)) this.#tickedAtMs = nowMs;
    if (!(elapsed >= TICK_MS_MIN)) return;
    const speed = Math.max(0, this.spent - this.#spentBefore) / elapsed;
    this.perMs += (speed - this.perMs) * (1 - Math.exp(-elapsed / MEMORY_MS));
    this.#spentBefore = this.spent;
    this.#tickedAtMs = nowMs;
  }
}

const BITE_DECAY = 0.05;
const MEMORY_MS = 10_000;
const TICK_MS_MIN = 100;
