import type { FloodGuard } from "./flood-guard.ts";
import type { FrameWriter } from "./frame-writer.ts";
import {
  ConnectionError,
  ErrorCode,
  PAYLOAD_BYTES_MAX,
  WINDOW_BYTES_DEFAULT,
  WINDOW_BYTES_MAX,
} from "./frames.ts";
import type { H2Stream } from "./h2-stream.ts";

/**
 * Sends the bodies of answers as far as the peer's windows and the socket let them. What has to
 * wait stays with its stream; the streams that wait for the connection take turns, a frame each.
 */
export class Sender {
  readonly #writer: FrameWriter;
  readonly #guard: FloodGuard;
  readonly #finished: (stream: H2Stream) => void;
  readonly #waiting: H2Stream[] = [];
  /** What the peer lets the whole connection send. */
  #window = WINDOW_BYTES_DEFAULT;
  #streamWindow = WINDOW_BYTES_DEFAULT;
  #pumping = false;

  /** `finished` is told of each answer whose last frame was written. */
  constructor(writer: FrameWriter, guard: FloodGuard, finished: (stream: H2Stream) => void) {
    this.#writer = writer;
    this.#guard = guard;
    this.#finished = finished;
  }

  /** The window of a new stream. */
  get streamWindow(): number {
    return this.#streamWindow;
  }

  /** False when some of it has to wait. */
  send(stream: H2Stream, bytes: Buffer): boolean {
    if (this.#mayPass(stream, bytes.length)) {
      this.#sendAll(stream, bytes, false);
      return true;
    }
    this.#hold(stream, bytes);
    return stream.held.length === 0;
  }

  /** Sends the last bytes, and the stream's trailers behind them. */
  end(stream: H2Stream, bytes: Buffer | undefined): void {
    const length = bytes?.length ?? 0;
    if (bytes === undefined || length === 0) {
      if (stream.held.length === 0) this.#sendEnd(stream);
    } else if (this.#mayPass(stream, length)) {
      const isLast = stream.trailers === undefined;
      this.#sendAll(stream, bytes, isLast);
      if (isLast) this.#finished(stream);
      else this.#sendEnd(stream);
    } else this.#hold(stream, bytes);
  }

  /** The peer takes more, of all streams together. */
  openConnection(bytes: number): void {
    this.#window += bytes;
    if (this.#window > WINDOW_BYTES_MAX) overflow();
    this.pump();
  }

  /** The peer takes more of one stream. False when that is more than a window can be. */
  openStream(stream: H2Stream, bytes: number): boolean {
    stream.sendWindow += bytes;
    if (stream.sendWindow > WINDOW_BYTES_MAX) return false;
    this.#queue(stream);
    this.pump();
    return true;
  }

  /** The peer changed the window that all streams begin with, those that are open included. */
  changeStreamWindow(bytes: number, streams: readonly H2Stream[]): void {
    const more = bytes - this.#streamWindow;
    this.#streamWindow = bytes;
    for (const stream of streams) {
      stream.sendWindow += more;
      if (stream.sendWindow > WINDOW_BYTES_MAX) overflow();
      this.#queue(stream);
    }
    this.pump();
  }

  /** Sends what waits, as far as that goes. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#window > 0 && !this.#writer.blocked) {
        const stream = this.#waiting.shift();
        if (stream === undefined) break;
        stream.waiting = false;
        this.#sendPiece(stream);
        this.#queue(stream);
        if (stream.held.length === 0) this.#caughtUp(stream);
      }
    } finally {
      this.#pumping = false;
    }
  }

  /** The stream is over. */
  forget(stream: H2Stream): void {
    if (!stream.waiting) return;
    stream.waiting = false;
    this.#waiting.splice(this.#waiting.indexOf(stream), 1);
  }

  #mayPass(stream: H2Stream, length: number): boolean {
    if (stream.held.length > 0 || this.#writer.blocked) return false;
    return length <= stream.sendWindow && length <= this.#window;
  }

  #sendAll(stream: H2Stream, bytes: Buffer, ends: boolean): void {
    const { length } = bytes;
    for (let at = 0; at < length; at += PAYLOAD_BYTES_MAX) {
      const end = Math.min(at + PAYLOAD_BYTES_MAX, length);
      if (ends && end === length) this.#writer.lastData(stream.id, bytes, at, end);
      else this.#writer.data(stream.id, bytes, at, end);
      this.#guard.earn();
    }
    stream.sendWindow -= length;
    this.#window -= length;
  }

  /** One frame of what waits. */
  #sendPiece(stream: H2Stream): void {
    const first = stream.held[0];
    if (first === undefined) return;
    const { bytes, sent } = first;
    const left = bytes.length - sent;
    const count = Math.min(left, PAYLOAD_BYTES_MAX, stream.sendWindow, this.#window);
    if (count <= 0) return;
    first.sent += count;
    if (count === left) stream.held.shift();
    stream.sendWindow -= count;
    this.#window -= count;
    stream.stalledMs = undefined;
    this.#guard.earn();
    const isLast = stream.answerEnded && stream.trailers === undefined && stream.held.length === 0;
    if (isLast) this.#writer.lastData(stream.id, bytes, sent, sent + count);
    else this.#writer.data(stream.id, bytes, sent, sent + count);
  }

  /** Nothing waits any more. */
  #caughtUp(stream: H2Stream): void {
    if (stream.answerEnded) {
      if (stream.trailers === undefined) this.#finished(stream);
      else this.#sendEnd(stream);
    } else if (stream.wantsDrain) {
      stream.wantsDrain = false;
      stream.receiver.takeDrain();
    }
  }

  /** The frame that ends a stream whose bytes have all gone. */
  #sendEnd(stream: H2Stream): void {
    const { trailers } = stream;
    if (trailers === undefined) this.#writer.lastData(stream.id, NOTHING, 0, 0);
    else this.#writer.headers(stream.id, trailers, true);
    this.#finished(stream);
  }

  #hold(stream: H2Stream, bytes: Buffer): void {
    stream.held.push({ bytes, sent: 0 });
    this.#queue(stream);
    this.pump();
  }

  /** A stream that waits for its own window is in nobody's way. */
  #queue(stream: H2Stream): void {
    if (stream.waiting || stream.held.length === 0 || stream.sendWindow <= 0) return;
    stream.waiting = true;
    this.#waiting.push(stream);
  }
}

const NOTHING = Buffer.alloc(0);

function overflow(): never {
  const text = `A window may not be opened beyond ${WINDOW_BYTES_MAX} bytes.`;
  throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, text);
}
