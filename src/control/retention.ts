import type { Clock } from "../mesh/clock.ts";
import type { Store } from "../store/store.ts";
import type { FaultListener } from "./connect-errors.ts";

/** How often old records are looked for. */
const ROUND_MS = 3_600_000;
const DAY_MS = 86_400_000;

export interface RetentionOptions {
  readonly store: Pick<Store, "expireRecords">;
  readonly clock: Clock;
  /** How long the record of a request is kept. */
  readonly days: number;
  readonly onFault: FaultListener;
}

/**
 * Deletes the records of requests that are older than so many days, at once and then each hour. The
 * sums by hour and by day are kept for ever. Returns how to stop.
 */
export function startRetention({ store, clock, days, onFault }: RetentionOptions): () => void {
  let expiring = false;
  const expire = (): void => {
    if (expiring) return;
    expiring = true;
    store
      .expireRecords(clock.wallMs() - days * DAY_MS)
      .catch((error: unknown) => onFault(`Old records cannot be deleted: ${String(error)}`))
      .finally(() => {
        expiring = false;
      });
  };
  expire();
  const timer = clock.every(ROUND_MS, expire);
  return () => timer.cancel();
}
