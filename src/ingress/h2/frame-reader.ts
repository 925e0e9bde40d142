import {
  breach,
  ConnectionError,
  ErrorCode,
  FRAME_HEAD_BYTES,
  PAYLOAD_BYTES_MAX,
} from "./frames.ts";

/** One frame. Its payload lies in `bytes` from `start` to `end`; nobody writes there again. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Where frames go. */
export interface FrameTaker {
  /** The frame is only lent: its fields change with the next one. */
  takeFrame(frame: Frame): void;
  /** True once no more frames are wanted. */
  readonly done: boolean;
}

/** Cuts what a client sends into frames. Copies nothing but a frame that comes in pieces. */
export class FrameReader {
  readonly #taker: FrameTaker;
  readonly #frame: Lent<Frame> = { type: 0, flags: 0, stream: 0, bytes: EMPTY, start: 0, end: 0 };
  #prefaceLeft = PREFACE.length;
  /** The frame that is still to be completed; only its head until its length is known. */
  #partial = EMPTY;
  #filled = 0;
  #count = 0;

  constructor(taker: FrameTaker) {
    this.#taker = taker;
  }

  /** True between two frames. */
  get atRest(): boolean {
    return this.#filled === 0;
  }

  /** How many frames have come. */
  get count(): number {
    return this.#count;
  }

  /** Takes what the network brought. Throws ConnectionError, as the taker may. */
  read(bytes: Buffer): void {
    let at = this.#prefaceLeft > 0 ? this.#readPreface(bytes) : 0;
    while (at < bytes.length && !this.#taker.done) {
      const left = bytes.length - at;
      if (this.#filled > 0 || left < FRAME_HEAD_BYTES) at = this.#gather(bytes, at);
      else {
        const length = readLength(bytes, at);
        const end = at + FRAME_HEAD_BYTES + length;
        if (end > bytes.length) at = this.#gather(bytes, at);
        else {
          this.#hand(bytes, at, end);
          at = end;
        }
      }
    }
  }

  #readPreface(bytes: Buffer): number {
    const from = PREFACE.length - this.#prefaceLeft;
    const count = Math.min(this.#prefaceLeft, bytes.length);
    if (PREFACE.compare(bytes, 0, count, from, from + count) !== 0) {
      breach("The connection does not begin with the preface of HTTP/2.");
    }
    this.#prefaceLeft -= count;
    return count;
  }

  /** Adds to the frame that is incomplete, and hands it on when it no longer is. */
  #gather(bytes: Buffer, from: number): number {
    if (this.#filled === 0) this.#partial = Buffer.allocUnsafe(FRAME_HEAD_BYTES);
    const at = this.#fill(bytes, from);
    if (this.#filled < this.#partial.length) return at;
    if (this.#filled === FRAME_HEAD_BYTES) {
      const length = readLength(this.#partial, 0);
      if (length > 0) {
        const whole = Buffer.allocUnsafe(FRAME_HEAD_BYTES + length);
        this.#partial.copy(whole);
        this.#partial = whole;
        return at;
      }
    }
    const frame = this.#partial;
    this.#partial = EMPTY;
    this.#filled = 0;
    this.#hand(frame, 0, frame.length);
    return at;
  }

  #fill(bytes: Buffer, from: number): number {
    const count = Math.min(this.#partial.length - this.#filled, bytes.length - from);
    bytes.copy(this.#partial, this.#filled, from, from + count);
    this.#filled += count;
    return from + count;
  }

  #hand(bytes: Buffer, at: number, end: number): void {
    this.#count += 1;
    const frame = this.#frame;
    frame.type = bytes[at + 3] ?? 0;
    frame.flags = bytes[at + 4] ?? 0;
    frame.stream = bytes.readUInt32BE(at + 5) & 0x7fff_ffff;
    frame.bytes = bytes;
    frame.start = at + FRAME_HEAD_BYTES;
    frame.end = end;
    this.#taker.takeFrame(frame);
    // A connection that falls silent must not keep the last bytes it sent.
    frame.bytes = EMPTY;
  }
}

type Lent<T> = { -readonly [K in keyof T]: T[K] };

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const EMPTY = Buffer.alloc(0);

function readLength(bytes: Buffer, at: number): number {
  const length = bytes.readUIntBE(at, 3);
  if (length <= PAYLOAD_BYTES_MAX) return length;
  const text = `A frame is ${length} bytes long; ${PAYLOAD_BYTES_MAX} are the most.`;
  throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, text);
}
