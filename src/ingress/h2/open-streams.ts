import type { H2Stream } from "./h2-stream.ts";
import { StreamTable } from "./stream-table.ts";

/** What is known of a stream that is not open. */
export type Absence =
  /** It was never begun. */
  | "idle"
  /** Its peer skipped it, and can never begin it. */
  | "skipped"
  /** We broke it off, and its peer may not have heard of it. */
  | "reset"
  | "closed";

/** The streams of a connection: those that are open, and what must be remembered of others. */
export class OpenStreams {
  readonly #table = new StreamTable();
  /** The newest stream the peer began. */
  #lastId = 0;
  /** The newest ids that were skipped lie between these two. */
  #gapFrom = 0;
  #gapTo = 0;
  /** The streams that we broke off lately, the oldest overwritten. */
  readonly #resets: number[] = [];
  #resetCount = 0;

  get size(): number {
    return this.#table.size;
  }

  get lastId(): number {
    return this.#lastId;
  }

  find(id: number): H2Stream | undefined {
    return this.#table.get(id);
  }

  list(): H2Stream[] {
    return this.#table.list();
  }

  /** The peer begins a stream, whether or not it is served. */
  begin(id: number): void {
    if (id > this.#lastId + 2) {
      this.#gapFrom = this.#lastId;
      this.#gapTo = id;
    }
    this.#lastId = id;
  }

  add(stream: H2Stream): void {
    this.#table.add(stream);
  }

  remove(stream: H2Stream): void {
    this.#table.remove(stream.id);
  }

  /** What its peer still sends on this stream is no fault. */
  noteReset(id: number): void {
    this.#resets[this.#resetCount % RESETS_MAX] = id;
    this.#resetCount += 1;
  }

  /** Why a stream is not open. */
  explain(id: number): Absence {
    if (id > this.#lastId || id % 2 === 0) return "idle";
    if (id > this.#gapFrom && id < this.#gapTo) return "skipped";
    if (this.#resets.includes(id)) return "reset";
    return "closed";
  }
}

const RESETS_MAX = 256;
