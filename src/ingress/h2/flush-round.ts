/** Whoever collects bytes during a turn of the event loop and sends them at its end. */
export interface Flusher {
  flush(): void;
}

/**
 * One flush a turn for everybody: what a turn of the event loop produced on a connection, for
 * however many streams, leaves in one write.
 */
export class FlushRound {
  #waiting: Flusher[] = [];

  /** Calls `flusher.flush()` once this turn is over. To be asked for once a turn. */
  add(flusher: Flusher): void {
    if (this.#waiting.length === 0) setImmediate(flushAll, this);
    this.#waiting.push(flusher);
  }

  run(): void {
    const flushers = this.#waiting;
    this.#waiting = [];
    for (let at = 0; at < flushers.length; at++) flushers[at]?.flush();
  }
}

function flushAll(round: FlushRound): void {
  round.run();
}
