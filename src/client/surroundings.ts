import { randomInt } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";

/** Time and chance, as the client sees them; tests give their own. */
export interface Surroundings {
  /** Milliseconds on a monotonic clock. */
  now(): number;
  /** Uniform in [0, 1). */
  unit(): number;
  /** Resolves after `ms`, or as soon as the signal is aborted. Rejects never. */
  pause(ms: number, signal: AbortSignal | undefined): Promise<void>;
}

export const systemSurroundings: Surroundings = {
  now: () => Number(process.hrtime.bigint()) / 1e6,
  unit: () => randomInt(2 ** 32) / 2 ** 32,
  pause: async (ms, signal) => {
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch {
      // Aborted: whoever waits looks at the signal.
    }
  },
};
