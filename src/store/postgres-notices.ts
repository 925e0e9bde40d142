import type { Clock } from "../mesh/clock.ts";
import { COMMITS_CHANNEL, createClientConfig } from "./postgres-backend.ts";
import { PostgresListener } from "./postgres-listener.ts";
import type { PostgresUrl } from "./postgres-url.ts";

/**
 * Hears of commits, from the first listener on. What was missed while the connection was broken is
 * told of once it is back.
 */
export class PostgresNotices {
  readonly #listeners = new Set<() => void>();
  readonly #listener: PostgresListener;
  #begun = false;

  constructor(url: PostgresUrl, clock: Clock) {
    this.#listener = new PostgresListener({
      config: createClientConfig(url),
      channel: COMMITS_CHANNEL,
      clock,
      heard: () => this.#tell(),
      began: () => this.#tell(),
    });
  }

  /** Calls `listener` after commits, with nothing: what is new is in the store. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (!this.#begun) {
      this.#begun = true;
      this.#listener.open();
    }
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    await this.#listener.close();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
