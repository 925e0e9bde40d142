import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import { MeshError } from "../mesh/errors.ts";

/** Hands records on to those who listen now; keeps nothing for those who come later. */
export interface Broadcast {
  /** Whether anybody listens. */
  readonly heard: boolean;
  publish(records: readonly RequestRecord[]): void;
  /** Throws UNAVAILABLE when too many listen already. */
  listen(accepts: (record: RequestRecord) => boolean): Listener;
  /** Ends all listeners. */
  close(): void;
}

/** One who listens. */
export interface Listener {
  /** The next record; undefined when the listener was closed. One call at a time. */
  next(): Promise<Heard | undefined>;
  close(): void;
}

/** A record, and how many were dropped before it because the listener was too slow. */
export interface Heard {
  readonly record: RequestRecord;
  readonly skipped: number;
}

const LISTENERS_MAX = 256;
const QUEUE_MAX = 1000;
/**
 * A proxy sends records again until they are committed; so many are remembered to tell each once.
 */
const RECENT_MAX = 10_000;

export function createBroadcast(): Broadcast {
  const listeners = new Set<QueueListener>();
  const recent = new Set<string>();
  return {
    get heard() {
      return listeners.size > 0;
    },
    publish: (records) => {
      if (listeners.size === 0) return;
      for (const record of records) {
        if (recent.has(record.requestId)) continue;
        if (recent.size >= RECENT_MAX) {
          for (const oldest of recent) {
            recent.delete(oldest);
            break;
          }
        }
        recent.add(record.requestId);
        for (const listener of listeners) listener.offer(record);
      }
    },
    listen: (accepts) => {
      if (listeners.size >= LISTENERS_MAX) {
        throw new MeshError("UNAVAILABLE", `${LISTENERS_MAX} callers tail already. Try later.`, {
          retryAfterMs: 10_000,
        });
      }
      const listener = new QueueListener(accepts, () => listeners.delete(listener));
      listeners.add(listener);
      return listener;
    },
    close: () => {
      for (const listener of listeners) listener.close();
    },
  };
}

class QueueListener implements Listener {
  readonly #accepts: (record: RequestRecord) => boolean;
  readonly #leave: () => void;
  readonly #queue: Heard[] = [];
  #skipped = 0;
  #closed = false;
  #wake: ((heard: Heard | undefined) => void) | undefined;

  constructor(accepts: (record: RequestRecord) => boolean, leave: () => void) {
    this.#accepts = accepts;
    this.#leave = leave;
  }

  offer(record: RequestRecord): void {
    if (!this.#accepts(record)) return;
    if (this.#queue.length >= QUEUE_MAX) {
      this.#skipped += 1;
      return;
    }
    const heard = { record, skipped: this.#skipped };
    this.#skipped = 0;
    const wake = this.#wake;
    if (wake === undefined) {
      this.#queue.push(heard);
      return;
    }
    this.#wake = undefined;
    wake(heard);
  }

  next(): Promise<Heard | undefined> {
    const heard = this.#queue.shift();
    if (heard !== undefined || this.#closed) return Promise.resolve(heard);
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#leave();
    this.#queue.length = 0;
    this.#wake?.(undefined);
    this.#wake = undefined;
  }
}
