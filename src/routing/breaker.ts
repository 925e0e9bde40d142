import type { Clock } from "../mesh/clock.ts";

/** How a breaker behaves. */
export interface BreakerRules {
  /** Failures in a row that eject a target. */
  readonly failuresMax: number;
  /** Time ejected, for the first time; the n-th time in a row it is n times as long. */
  readonly ejectionMs: number;
  /** Ejections in a row that still lengthen the time. */
  readonly ejectionsMax: number;
}

export const defaultBreakerRules: BreakerRules = {
  failuresMax: 5,
  ejectionMs: 30_000,
  ejectionsMax: 10,
};

/**
 * Whether a target may be called:
 * - `closed`: it answers, call it.
 * - `half_open`: its time is up and one call, this one, may probe it.
 * - `open`: it is ejected, or somebody probes it already.
 */
export type BreakerState = "closed" | "half_open" | "open";

/** Health of one (provider, upstream model), learned from real calls. */
export class Breaker {
  readonly #clock: Clock;
  readonly #rules: BreakerRules;
  #failures = 0;
  #ejections = 0;
  #openUntilMs = Number.NEGATIVE_INFINITY;
  #ejected = false;
  #probing = false;
  #blockedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, rules: BreakerRules) {
    this.#clock = clock;
    this.#rules = rules;
  }

  get state(): BreakerState {
    if (!this.#ejected) return "closed";
    if (this.#probing || this.#clock.now() < this.#openUntilMs) return "open";
    return "half_open";
  }

  /** True while the vendor has said that it has no capacity: that is no fault of health. */
  get blocked(): boolean {
    return this.#clock.now() < this.#blockedUntilMs;
  }

  /** Milliseconds until it may be called again; 0 when that is now. */
  get waitMs(): number {
    const until = Math.max(this.#ejected ? this.#openUntilMs : 0, this.#blockedUntilMs);
    return Math.max(0, until - this.#clock.now());
  }

  /** A call begins. In `half_open` it is the one probe. */
  begin(): void {
    if (this.#ejected) this.#probing = true;
  }

  /** A call ended well: all is forgiven. */
  succeed(): void {
    this.#failures = 0;
    this.#ejections = 0;
    this.#ejected = false;
    this.#probing = false;
  }

  /**
   * A call failed by the target's fault. `broken` ejects at once: a refused credential mends itself
   * for nobody.
   */
  fail(broken = false): void {
    this.#failures += 1;
    const probed = this.#probing;
    this.#probing = false;
    if (!probed && !broken && this.#failures < this.#rules.failuresMax) return;
    this.#failures = 0;
    this.#ejected = true;
    this.#ejections = Math.min(this.#ejections + 1, this.#rules.ejectionsMax);
    this.#openUntilMs = this.#clock.now() + this.#rules.ejectionMs * this.#ejections;
  }

  /** A call ended in a way that says nothing of the target's health, such as a caller who left. */
  forget(): void {
    this.#probing = false;
  }

  /** The vendor said that it has no capacity for so long. */
  block(forMs: number): void {
    this.#blockedUntilMs = Math.max(this.#blockedUntilMs, this.#clock.now() + forMs);
  }
}

/**
 * Targets that come and go must not fill the memory; the breakers least lately made are forgotten
 * first.
 */
const BREAKERS_MAX = 10_000;

/** The breakers of all targets. */
export class Breakers {
  readonly #clock: Clock;
  readonly #rules: BreakerRules;
  readonly #byTarget = new Map<string, Breaker>();

  constructor(clock: Clock, rules: BreakerRules = defaultBreakerRules) {
    this.#clock = clock;
    this.#rules = rules;
  }

  /** By the targets' ids: provider, slash, upstream model. */
  all(): Iterable<readonly [string, Breaker]> {
    return this.#byTarget;
  }

  of(targetId: string): Breaker {
    let breaker = this.#byTarget.get(targetId);
    if (breaker === undefined) {
      if (this.#byTarget.size >= BREAKERS_MAX) {
        for (const oldest of this.#byTarget.keys()) {
          this.#byTarget.delete(oldest);
          break;
        }
      }
      breaker = new Breaker(this.#clock, this.#rules);
      this.#byTarget.set(targetId, breaker);
    }
    return breaker;
  }
}
