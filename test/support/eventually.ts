import { setTimeout as delay } from "node:timers/promises";
import { vi } from "vitest";

/** A bound, not an expectation: the machine may have much else to do. */
const PATIENCE_MS = 30_000;
const PAUSE_MS = 5;
const STILL_MS = 100;

/** Asks again until nothing is thrown; fails with what was thrown last. */
export function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: PATIENCE_MS, interval: PAUSE_MS });
}

/**
 * What a count comes to rest at once it is above zero, or the first beyond `most`. On a slow
 * machine it may be told too early, never too late.
 */
export async function stillness(
  count: () => number,
  most = Number.POSITIVE_INFINITY,
): Promise<number> {
  for (let before = 0; ; ) {
    await delay(STILL_MS);
    const now = count();
    if (now > most || (now > 0 && now === before)) return now;
    before = now;
  }
}
