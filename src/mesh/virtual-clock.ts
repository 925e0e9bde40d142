import type { Clock, Timer } from "./clock.ts";

/** A clock for tests that stands still until it is told to move, so that no test sleeps. */
export class VirtualClock implements Clock {
  #nowMs = 0;
  readonly #wallAtStartMs: number;
  readonly #pending = new Set<VirtualTimer>();

  constructor(wallAtStartMs = Date.UTC(2026, 0, 1)) {
    this.#wallAtStartMs = wallAtStartMs;
  }

  now(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallAtStartMs + this.#nowMs;
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#add(delayMs, run, false);
  }

  every(intervalMs: number, run: () => void): Timer {
    return this.#add(intervalMs, run, true);
  }

  /**
   * Moves time on by `ms` and runs what falls due, in order; promises settle between two timers.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#nowMs + ms;
    for (;;) {
      await settle();
      const next = this.#earliest(end);
      if (next === undefined) break;
      this.#nowMs = next.dueMs;
      next.fire();
    }
    this.#nowMs = end;
    await settle();
  }

  #add(delayMs: number, run: () => void, repeats: boolean): Timer {
    const pending = this.#pending;
    const timer: VirtualTimer = {
      dueMs: this.#nowMs + delayMs,
      refresh: () => {
        timer.dueMs = this.#nowMs + delayMs;
        pending.add(timer);
      },
      cancel: () => {
        pending.delete(timer);
      },
      fire: () => {
        if (repeats) timer.dueMs += Math.max(delayMs, 1);
        else pending.delete(timer);
        run();
      },
    };
    pending.add(timer);
    return timer;
  }

  #earliest(endMs: number): VirtualTimer | undefined {
    let earliest: VirtualTimer | undefined;
    for (const timer of this.#pending) {
      if (timer.dueMs <= endMs && (earliest === undefined || timer.dueMs < earliest.dueMs)) {
        earliest = timer;
      }
    }
    return earliest;
  }
}

interface VirtualTimer extends Timer {
  dueMs: number;
  fire(): void;
}

/** Lets promise chains run dry: one turn of the macrotask queue outlasts every microtask. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
