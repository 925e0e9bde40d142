import { createSeededRandom, type Random } from "../../src/mesh/random.ts";

/** Seeded chance: one stream of it decides everything in a simulated world. */
export class Chance implements Random {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = createSeededRandom(seed);
  }

  unit(): number {
    return this.#random.unit();
  }

  /** True with this probability. */
  happens(probability: number): boolean {
    return this.unit() < probability;
  }

  /** Uniform in [from, to). */
  between(from: number, to: number): number {
    return from + this.unit() * (to - from);
  }

  /** Uniform among the integers from `from` to `to`, both included. */
  integer(from: number, to: number): number {
    return from + Math.floor(this.unit() * (to - from + 1));
  }

  /** Between the two, each order of magnitude as likely as another. */
  magnitude(from: number, to: number): number {
    return from * (to / from) ** this.unit();
  }

  /** Exponential with this mean. */
  wait(meanMs: number): number {
    return -meanMs * Math.log(1 - this.unit());
  }

  pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new RangeError("nothing to pick from");
    return from[Math.floor(this.unit() * from.length)] as T;
  }

  /** Those of a list that each come with this probability. */
  some<T>(from: readonly T[], probability: number): T[] {
    return from.filter(() => this.happens(probability));
  }

  /** An independent stream, so that one part's draws do not shift another's. */
  fork(): Chance {
    return new Chance(Math.floor(this.unit() * 4_294_967_296));
  }
}
