import type { Clock } from "../../mesh/clock.ts";
import { ConnectionError, ErrorCode } from "./frames.ts";

/**
 * Frames that make work and bring nothing have a budget for each connection: an honest peer never
 * comes near it, a hostile one loses its connection. Throws ConnectionError then.
 */
export class FloodGuard {
  readonly #clock: Clock;
  #cheap = CHEAP.burst;
  #cheapMs: number;
  #faults = FAULTS.burst;
  #faultsMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#cheapMs = clock.now();
    this.#faultsMs = this.#cheapMs;
  }

  /** A frame that costs its sender nothing: a ping, a setting, empty data, an unknown frame. */
  spendCheap(): void {
    if (--this.#cheap >= 0) return;
    // The clock is only asked when the budget is gone.
    const now = this.#clock.now();
    this.#cheap = refill(CHEAP, now - this.#cheapMs);
    this.#cheapMs = now;
    if (this.#cheap < 0) calmDown("It sends frames that mean nothing.");
  }

  /** Something of use went over the connection: what belongs to it is no flood. */
  earn(): void {
    if (this.#cheap < CHEAP.burst) this.#cheap += CHEAP_EARNED;
  }

  /** A stream that came to nothing by its peer's doing: reset, refused or malformed. */
  spendFault(): void {
    if (--this.#faults >= 0) return;
    const now = this.#clock.now();
    this.#faults = refill(FAULTS, now - this.#faultsMs);
    this.#faultsMs = now;
    if (this.#faults < 0) calmDown("It resets streams as fast as it opens them.");
  }
}

interface Budget {
  readonly burst: number;
  readonly perSecond: number;
}

const CHEAP: Budget = { burst: 10_000, perSecond: 1_000 };
/** A client that answers each frame of data with two windows and a ping is an honest one. */
const CHEAP_EARNED = 4;
const FAULTS: Budget = { burst: 500, perSecond: 50 };

/** What is left after the frame at hand; less than nothing when there is none for it. */
function refill(budget: Budget, elapsedMs: number): number {
  return Math.min(budget.burst, Math.floor((elapsedMs * budget.perSecond) / 1000)) - 1;
}

function calmDown(message: string): never {
  throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, message);
}
