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

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, run) => wrapTimer(setTimeout(run, delayMs).unref()),
  every: (intervalMs, run) => wrapTimer(setInterval(run, intervalMs).unref()),
};

/**
 * The machine's own clock for a process that has nothing else to live for: its timers keep the
 * process alive.
 */
export const holdingClock: Clock = {
  ...systemClock,
  after: (delayMs, run) => wrapTimer(setTimeout(run, delayMs)),
  every: (intervalMs, run) => wrapTimer(setInterval(run, intervalMs)),
};

/** Resolves after `delayMs`; rejects never. */
export function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.after(delayMs, resolve));
}

function wrapTimer(handle: NodeJS.Timeout): Timer {
  return {
    refresh: () => {
      handle.refresh();
    },
    cancel: () => clearTimeout(handle),
  };
}
