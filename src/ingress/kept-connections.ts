import type { Socket } from "node:net";
import type { Clock, Timer } from "../mesh/clock.ts";
import { Roster } from "../mesh/roster.ts";

/** A connection, of whatever version of HTTP. */
export interface KeptConnection {
  /** Looks whether its peer keeps it waiting. */
  sweep(nowMs: number): void;
  /** Closes as soon as nothing is open on it. */
  drain(): void;
  /** Cuts everything off. */
  destroy(): void;
}

/**
 * The connections of one half of a port. One sweep looks at all of them, so that none needs a timer
 * of its own; with the last one it stops.
 */
export class KeptConnections<T extends KeptConnection> {
  readonly #all = new Roster<T>();
  readonly #clock: Clock;
  readonly #sweepMs: number;
  #sweep: Timer | undefined;

  constructor(clock: Clock, sweepMs: number) {
    this.#clock = clock;
    this.#sweepMs = sweepMs;
  }

  /** Keeps a connection until its socket closes. */
  add(socket: Socket, connection: T): void {
    const place = this.#all.add(connection);
    this.#sweep ??= this.#clock.every(this.#sweepMs, () => this.#look());
    socket.once("close", () => {
      this.#all.leave(place);
      if (this.#all.size > 0) return;
      this.#sweep?.cancel();
      this.#sweep = undefined;
    });
  }

  drain(): void {
    for (const connection of this.#all) connection.drain();
  }

  destroy(): void {
    for (const connection of this.#all) connection.destroy();
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#all[Symbol.iterator]();
  }

  #look(): void {
    const now = this.#clock.now();
    for (const connection of this.#all) connection.sweep(now);
  }
}
