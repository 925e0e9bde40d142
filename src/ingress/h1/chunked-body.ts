import type { IncomingHttpHeaders } from "node:http";
import { FieldBlock } from "./field-block.ts";
import { chunkExtensions, malformed, RequestFault } from "./refusal.ts";
import { parseTrailers } from "./request-head.ts";

/** Takes a body out of its chunks. */
export class ChunkedBody {
  readonly #take: (bytes: Buffer) => void;
  #state: State = State.SIZE;
  /** Bytes of the chunk that are still to come; while its size is read, the size so far. */
  #left = 0;
  #digits = 0;
  #trailers: FieldBlock | undefined;

  /** `take` is called with each piece of the body. */
  constructor(take: (bytes: Buffer) => void) {
    this.#take = take;
  }

  /** True once the last chunk and the trailers have come. */
  get ended(): boolean {
    return this.#state === State.ENDED;
  }

  /** The fields behind the last chunk; undefined when there are none. */
  trailers: IncomingHttpHeaders | undefined;

  /** Reads on from `from`. Returns how far it got. Throws RequestFault. */
  read(bytes: Buffer, from: number): number {
    let at = from;
    while (at < bytes.length && this.#state < State.TRAILERS) {
      if (this.#state === State.DATA) at = this.#readData(bytes, at);
      else {
        this.#step(bytes[at] ?? 0);
        at += 1;
      }
    }
    if (this.#state === State.TRAILERS) return this.#readTrailers(bytes, at);
    return at;
  }

  #step(code: number): void {
    switch (this.#state) {
      case State.SIZE:
        this.#takeSize(code);
        break;
      case State.SIZE_END:
        if (code !== LF) refuse();
        this.#state = this.#left === 0 ? State.TRAILERS : State.DATA;
        break;
      case State.DATA_END:
        if (code !== CR) refuse();
        this.#state = State.LINE_END;
        break;
      default:
        if (code !== LF) refuse();
        this.#state = State.SIZE;
        this.#left = 0;
        this.#digits = 0;
    }
  }

  #takeSize(code: number): void {
    const digit = readHexDigit(code);
    if (digit >= 0) {
      this.#digits += 1;
      if (this.#digits > SIZE_DIGITS_MAX) refuse();
      this.#left = this.#left * 16 + digit;
    } else if (this.#digits === 0) refuse();
    else if (code === CR) this.#state = State.SIZE_END;
    else if (code === SEMICOLON) throw new RequestFault(chunkExtensions);
    else refuse();
  }

  #readData(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    if (this.#left === 0) this.#state = State.DATA_END;
    this.#take(bytes.subarray(at, end));
    return end;
  }

  #readTrailers(bytes: Buffer, at: number): number {
    if (at === bytes.length) return at;
    this.#trailers ??= new FieldBlock();
    const end = this.#trailers.read(bytes, at);
    if (end < 0) return bytes.length;
    const { text } = this.#trailers;
    if (text !== "") this.trailers = parseTrailers(text);
    this.#state = State.ENDED;
    return end;
  }
}

const State = {
  /** In the digits of a chunk's size. */
  SIZE: 0,
  /** Before the LF behind them. */
  SIZE_END: 1,
  DATA: 2,
  /** Before the CR behind a chunk's data. */
  DATA_END: 3,
  /** Before its LF. */
  LINE_END: 4,
  /** Behind the last chunk's size. */
  TRAILERS: 5,
  ENDED: 6,
} as const;
type State = (typeof State)[keyof typeof State];

/** Sixteen to this power is still a safe integer. */
const SIZE_DIGITS_MAX = 13;
const LF = 0x0a;
const CR = 0x0d;
const SEMICOLON = 0x3b;

/** -1 for what is no digit. */
function readHexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function refuse(): never {
  throw new RequestFault(malformed);
}
