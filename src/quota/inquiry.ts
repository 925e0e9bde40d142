import { type Clock, pause } from "../mesh/clock.ts";
import type { LedgerWord, Pot } from "./pot.ts";

/** Asks the ledger what is left of buckets, for callers who want to know: each once a second. */
export class Inquiry {
  readonly #clock: Clock;
  /** What was known when it was asked last, and when that was. */
  readonly #asked = new WeakMap<
    Pot,
    { readonly atMs: number; readonly word: LedgerWord | undefined }
  >();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Those that were not asked lately: they count as asked from now on. */
  select(pots: readonly Pot[]): ReadonlySet<Pot> {
    const nowMs = this.#clock.now();
    const selected = new Set<Pot>();
    for (const pot of pots) {
      const last = this.#asked.get(pot);
      if (last !== undefined && nowMs - last.atMs < FRESH_MS) continue;
      this.#asked.set(pot, { atMs: nowMs, word: pot.word });
      selected.add(pot);
    }
    return selected;
  }

  /** Resolves when the ledger has answered of all of them, or when that takes too long. */
  async answered(pots: readonly Pot[]): Promise<void> {
    const endMs = this.#clock.now() + WAIT_MS;
    while (!pots.every((pot) => pot.word !== this.#asked.get(pot)?.word)) {
      if (this.#clock.now() >= endMs) return;
      await pause(this.#clock, POLL_MS);
    }
  }
}

const FRESH_MS = 1_000;
const WAIT_MS = 500;
const POLL_MS = 10;
