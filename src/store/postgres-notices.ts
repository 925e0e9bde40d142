import pg from "pg";
import type { Clock, Timer } from "../mesh/clock.ts";
import { COMMITS_CHANNEL, createClientConfig } from "./postgres-backend.ts";
import type { PostgresUrl } from "./postgres-url.ts";

/** How long to wait before connecting anew: doubled with each failure in a row. */
const AGAIN_MIN_MS = 250;
const AGAIN_MAX_MS = 8_000;

/**
 * Hears of commits on a connection of its own, which is made with the first listener and made anew
 * whenever it breaks. What was missed meanwhile is told of once it is back.
 */
export class PostgresNotices {
  readonly #url: PostgresUrl;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #client: pg.Client | undefined;
  #again: Timer | undefined;
  #againMs = AGAIN_MIN_MS;
  #begun = false;
  #closed = false;

  constructor(url: PostgresUrl, clock: Clock) {
    this.#url = url;
    this.#clock = clock;
  }

  /** Calls `listener` after commits, with nothing: what is new is in the store. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (!this.#begun) {
      this.#begun = true;
      void this.#connect();
    }
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#listeners.clear();
    this.#again?.cancel();
    await this.#client?.end();
  }

  /** Never rejects. */
  async #connect(): Promise<void> {
    const client = new pg.Client(createClientConfig(this.#url));
    this.#client = client;
    client.on("notification", () => this.#tell());
    // The end follows, whatever the error is.
    client.on("error", ignore);
    client.once("end", () => this.#ended(client));
    try {
      await client.connect();
      await client.query(`LISTEN ${COMMITS_CHANNEL}`);
      this.#againMs = AGAIN_MIN_MS;
      this.#tell();
    } catch {
      await client.end().catch(ignore);
      this.#ended(client);
    }
  }

  #ended(client: pg.Client): void {
    if (this.#closed || this.#client !== client) return;
    this.#client = undefined;
    this.#again = this.#clock.after(this.#againMs, () => void this.#connect());
    this.#againMs = Math.min(this.#againMs * 2, AGAIN_MAX_MS);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

function ignore(): void {}
