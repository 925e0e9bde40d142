import pg from "pg";
import type { Clock, Timer } from "../mesh/clock.ts";

/** How long to wait before connecting anew: doubled with each failure in a row. */
const AGAIN_MIN_MS = 250;
const AGAIN_MAX_MS = 8_000;

/** What is listened to, and who is told. */
export interface PostgresListenerOptions {
  readonly config: pg.ClientConfig;
  readonly channel: string;
  readonly clock: Clock;
  /** Called with each notice. */
  heard(payload: string): void;
  /** Called when it listens, for the first time and anew: what was said before was missed. */
  began(): void;
}

/**
 * Hears a channel's notices on a connection of its own, which is made anew whenever it breaks.
 * Through a pooler that swallows notices nothing is heard.
 */
export class PostgresListener {
  readonly #options: PostgresListenerOptions;
  #connection: pg.Client | undefined;
  #client: pg.Client | undefined;
  #again: Timer | undefined;
  #againMs = AGAIN_MIN_MS;
  #closed = false;

  constructor(options: PostgresListenerOptions) {
    this.#options = options;
  }

  /** The connection, while it listens. */
  get client(): pg.Client | undefined {
    return this.#client;
  }

  /** Begins to listen, and goes on trying. To be called once. */
  open(): void {
    void this.#connect();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#again?.cancel();
    await this.#connection?.end().catch(ignore);
  }

  /** Never rejects. */
  async #connect(): Promise<void> {
    const { config, channel, heard, began } = this.#options;
    const connection = new pg.Client(config);
    this.#connection = connection;
    connection.on("notification", ({ payload }) => heard(payload ?? ""));
    // The end follows, whatever the error is.
    connection.on("error", ignore);
    connection.once("end", () => this.#ended(connection));
    try {
      await connection.connect();
      await connection.query(`LISTEN ${channel}`);
      this.#againMs = AGAIN_MIN_MS;
      this.#client = connection;
      began();
    } catch {
      await connection.end().catch(ignore);
      this.#ended(connection);
    }
  }

  #ended(connection: pg.Client): void {
    if (this.#closed || this.#connection !== connection) return;
    this.#connection = undefined;
    this.#client = undefined;
    this.#again = this.#options.clock.after(this.#againMs, () => void this.#connect());
    this.#againMs = Math.min(this.#againMs * 2, AGAIN_MAX_MS);
  }
}

function ignore(): void {}
