import { TimerWheel } from "./timer-wheel.ts";

/**
 * Time, as the rest of the house sees it. Nothing else calls `Date.now`, `performance.now` or
 * `setTimeout`.
 */
export interface Clock {
  /**
   * Milliseconds on a monotonic clock with sub-millisecond resolution; only differences mean
   * anything.
   */
  now(): number;
  /** Milliseconds since 1970 by the machine's clock; may jump. */
  wallMs(): number;
  /** Calls `run` once after `delayMs`. The timer alone need not keep the process alive. */
  after(delayMs: number, run: () => void): Timer;
  /** Calls `run` every `intervalMs` until cancelled. Neither need this one. */
  every(intervalMs: number, run: () => void): Timer;
}

export interface Timer {
  /** Starts the delay anew; cheap enough for each upstream read. */
  refresh(): void;
  cancel(): void;
}

class MachineTimer implements Timer {
  readonly #handle: NodeJS.Timeout;

  constructor(handle: NodeJS.Timeout) {
    this.#handle = handle;
  }

  refresh(): void {
    this.#handle.refresh();
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }
}

const machine = {
  now: () => performance.now(),
  every: (intervalMs: number, run: () => void): Timer =>
    new MachineTimer(setInterval(run, intervalMs).unref()),
};

/** Delays that nobody measures: they may take a little longer when that costs less. */
const LONG_MS = 1_000;
const wheel = new TimerWheel(machine);

/** The machine's own clock. Delays of a second and more may take up to 20 ms longer. */
export const systemClock: Clock = {
  ...machine,
  wallMs: () => Date.now(),
  after: (delayMs, run) =>
    delayMs >= LONG_MS
      ? wheel.after(delayMs, run)
      : new MachineTimer(setTimeout(run, delayMs).unref()),
};

/**
 * The machine's own clock for a process that has nothing else to live for: its timers keep the
 * process alive.
 */
export const holdingClock: Clock = {
  ...systemClock,
  after: (delayMs, run) => new MachineTimer(setTimeout(run, delayMs)),
  every: (intervalMs, run) => new MachineTimer(setInterval(run, intervalMs)),
};

/** Resolves after `delayMs`; rejects never. */
export function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.after(delayMs, resolve));
}
