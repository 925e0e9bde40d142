import type { IncomingHttpHeaders } from "node:http";
import { ChunkedBody } from "./chunked-body.ts";

/** Whoever takes a body. */
export interface BodyTaker {
  takeBody(bytes: Buffer): void;
}

/** A body on its way, by its length or in chunks. */
export class RequestBody {
  readonly #taker: BodyTaker;
  readonly #chunks: ChunkedBody | undefined;
  #left: number;

  /** `length` is undefined when the body comes in chunks. */
  constructor(length: number | undefined, taker: BodyTaker) {
    this.#taker = taker;
    this.#left = length ?? Number.POSITIVE_INFINITY;
    if (length !== undefined) return;
    this.#chunks = new ChunkedBody((bytes) => taker.takeBody(bytes));
  }

  get ended(): boolean {
    return this.#left === 0;
  }

  /** Bytes that are still to come; infinite when nobody knows. */
  get left(): number {
    return this.#left;
  }

  get trailers(): IncomingHttpHeaders | undefined {
    return this.#chunks?.trailers;
  }

  /** Reads on from `from`. Returns how far it got. Throws RequestFault. */
  read(bytes: Buffer, from: number): number {
    const chunks = this.#chunks;
    if (chunks !== undefined) {
      const at = chunks.read(bytes, from);
      if (chunks.ended) this.#left = 0;
      return at;
    }
    const end = Math.min(bytes.length, from + this.#left);
    this.#left -= end - from;
    this.#taker.takeBody(from === 0 && end === bytes.length ? bytes : bytes.subarray(from, end));
    return end;
  }
}
