import type { Clock } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";
import type { BoundLimit } from "../mesh/limit.ts";
import { Pot } from "./pot.ts";

/** The buckets that this proxy knows. */
export class Pots {
  readonly #clock: Clock;
  readonly #byBucket = new Map<string, Pot>();
  /**
   * Found by the array itself: policy hands out the same one for the same limits, so that the usual
   * request builds no string and looks nothing up.
   */
  #paths = new WeakMap<readonly BoundLimit[], Pot[]>();
  /** How much level was ever granted to rates that are forgotten: the ledger counts on. */
  readonly #levels = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * The buckets of these limits, in their order. Throws QUOTA_UNAVAILABLE when there are too many.
   */
  along(limits: readonly BoundLimit[]): readonly Pot[] {
    const path = this.#paths.get(limits);
    if (path === undefined) return this.#find(limits);
    for (const pot of path) if (pot.forgotten) return this.#find(limits);
    return path;
  }

  get(bucket: string): Pot | undefined {
    return this.#byBucket.get(bucket);
  }

  all(): Iterable<Pot> {
    return this.#byBucket.values();
  }

  get size(): number {
    return this.#byBucket.size;
  }

  /** Forgets a bucket whose lease is empty and whose totals the ledger has echoed. */
  forget(pot: Pot): void {
    const { bucket } = pot.bound;
    if (pot.current.levelGranted > 0) {
      if (this.#levels.size >= POTS_MAX) return;
      this.#levels.set(bucket, pot.current.levelGranted);
    }
    pot.forgotten = true;
    this.#byBucket.delete(bucket);
  }

  #find(limits: readonly BoundLimit[]): Pot[] {
    const path = limits.map((bound) => this.#open(bound));
    this.#paths.set(limits, path);
    return path;
  }

  #open(bound: BoundLimit): Pot {
    const known = this.#byBucket.get(bound.bucket);
    if (known !== undefined) {
      if (known.bound.limit !== bound.limit) known.rebind(bound, this.#clock.now());
      return known;
    }
    if (this.#byBucket.size >= POTS_MAX) throw crowded();
    const pot = new Pot(bound, this.#clock.now());
    pot.current.levelGranted = this.#levels.get(bound.bucket) ?? 0;
    this.#byBucket.set(bound.bucket, pot);
    return pot;
  }
}

/** A bucket takes more than a kilobyte here. */
const POTS_MAX = 200_000;

function crowded(): MeshError {
  return new MeshError(
    "QUOTA_UNAVAILABLE",
    "This proxy counts against too many limits at once. Try again later, or through another proxy.",
    { retryAfterMs: 10_000, internal: `${POTS_MAX} buckets are open; labels with many values?` },
  );
}
