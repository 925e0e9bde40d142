import type { Clock } from "../mesh/clock.ts";
import type { Recall } from "../mesh/hub.ts";
import type { Limit } from "../mesh/limit.ts";
import { parseBucket } from "../mesh/limit.ts";
import type { QuotaStore } from "../store/quota-store.ts";
import type { LimitFinder } from "./quota-limits.ts";

/** Tells the proxies of this control process what others need. */
export interface Recalls {
  listen(listener: (recall: Recall) => void): () => void;
  emit(buckets: readonly string[], except: string): void;
  /** Notes by which limit something was granted. */
  note(limit: Limit): void;
  policiesChanged(): void;
  close(): void;
}

export interface RecallsOptions {
  readonly store: QuotaStore;
  readonly clock: Clock;
  /** True where proxies of other control processes may ask too. */
  readonly shared: boolean;
  readonly limits: LimitFinder;
}

export function createRecalls(options: RecallsOptions): Recalls {
  return new RecallBoard(options);
}

class RecallBoard implements Recalls {
  readonly #options: RecallsOptions;
  readonly #listeners = new Set<(recall: Recall) => void>();
  /** When each bucket was last asked for that its holders here were told of. */
  readonly #told = new Map<string, number>();
  /** The limits that leases were granted by, by policy. */
  readonly #granted = new Map<string, Limit>();
  readonly #stop: () => void;
  #looking = false;

  constructor(options: RecallsOptions) {
    this.#options = options;
    const poll = options.shared ? options.clock.every(POLL_MS, () => this.#look()) : undefined;
    this.#stop = () => poll?.cancel();
  }

  listen(listener: (recall: Recall) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  emit(buckets: readonly string[], except: string): void {
    for (const listener of this.#listeners) listener({ buckets, except });
  }

  note(limit: Limit): void {
    if (this.#granted.get(limit.policy) === limit) return;
    if (this.#granted.size >= REMEMBERED_MAX) this.#granted.clear();
    this.#granted.set(limit.policy, limit);
  }

  policiesChanged(): void {
    for (const [name, before] of this.#granted) {
      const now = this.#options.limits.find(name);
      if (now === before) continue;
      if (now === undefined) this.#granted.delete(name);
      else this.#granted.set(name, now);
      const covers = now !== undefined && now.form === before.form && now.amount >= before.amount;
      if (!covers) this.#recallAll(name);
    }
  }

  close(): void {
    this.#stop();
    this.#listeners.clear();
  }

  #recallAll(policy: string): void {
    const query = { by: "policy", name: policy, sinceMs: 0, limit: BUCKETS_MAX } as const;
    this.#options.store
      .quotaStatus(query)
      .then((found) => {
        const held = found.filter(({ leases }) => leases.length > 0);
        const buckets = held.map(({ bucket }) => bucket.bucket);
        if (buckets.length > 0) this.emit(buckets, "");
      })
      // Then they come back as they are reported: each answer says so.
      .catch(() => undefined);
  }

  /** What proxies of other control processes have asked for. */
  #look(): void {
    if (this.#looking || this.#listeners.size === 0) return;
    this.#looking = true;
    const { store, clock } = this.#options;
    store
      .recalledQuota({ sinceMs: Math.floor(clock.wallMs()) - CLOCKS_APART_MS, limit: BUCKETS_MAX })
      .then((found) => {
        if (found.length === 0) this.#told.clear();
        for (const { bucket, proxyId, askedMs } of found) {
          if (this.#told.get(bucket) === askedMs || parseBucket(bucket) === undefined) continue;
          if (this.#told.size >= REMEMBERED_MAX) this.#told.clear();
          this.#told.set(bucket, askedMs);
          this.emit([bucket], proxyId);
        }
      })
      // A store that is away is told of by what needs it more.
      .catch(() => undefined)
      .finally(() => {
        this.#looking = false;
      });
  }
}

const POLL_MS = 250;
const BUCKETS_MAX = 1000;
const REMEMBERED_MAX = 10_000;
/** The clocks of control processes may differ by so much. */
const CLOCKS_APART_MS = 120_000;
