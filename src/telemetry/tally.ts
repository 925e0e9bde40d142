import type { Sample } from "./metrics.ts";

/**
 * Pairs of label values that are told apart. What is counted beyond goes to `other`: values come
 * from configuration and vendors, and must not fill the memory of this or of what scrapes it.
 */
const PAIRS_MAX = 10_000;
const OTHER = "other";

/** Counts what happens by two words; cheap enough for each request. */
export class Tally {
  readonly #counts = new Map<string, Map<string, { count: number }>>();
  #pairs = 0;

  add(first: string, second: string): void {
    const cell = this.#counts.get(first)?.get(second);
    if (cell === undefined) this.#open(first, second);
    else cell.count += 1;
  }

  /** One sample for each pair, under these label names. */
  samples(firstName: string, secondName: string): Sample[] {
    const samples: Sample[] = [];
    for (const [first, row] of this.#counts) {
      for (const [second, { count }] of row) {
        samples.push({ labels: { [firstName]: first, [secondName]: second }, value: count });
      }
    }
    return samples;
  }

  #open(first: string, second: string): void {
    if (this.#pairs >= PAIRS_MAX && first !== OTHER) {
      this.add(OTHER, OTHER);
      return;
    }
    let row = this.#counts.get(first);
    if (row === undefined) {
      row = new Map();
      this.#counts.set(first, row);
    }
    row.set(second, { count: 1 });
    this.#pairs += 1;
  }
}
