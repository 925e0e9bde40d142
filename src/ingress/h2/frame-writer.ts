import type { Socket } from "node:net";
import type { FlushRound } from "./flush-round.ts";
import * as frame from "./frames.ts";
import { FRAME_HEAD_BYTES, PAYLOAD_BYTES_MAX } from "./frames.ts";
import { boundBlock, HpackEncoder } from "./hpack-encoder.ts";

/**
 * Writes frames into one buffer, which leaves at the end of the turn, or when it is full. What goes
 * through here is on its way: flow control has been asked before.
 */
export class FrameWriter {
  readonly #socket: Socket;
  readonly #round: FlushRound;
  readonly #hpack = new HpackEncoder();
  #buffer: Buffer | undefined;
  #length = 0;
  #scheduled = false;
  #blocked = false;

  constructor(socket: Socket, round: FlushRound) {
    this.#socket = socket;
    this.#round = round;
  }

  /** True while the socket has more than it can send. Data has to wait then; the rest may go. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Called when the socket has caught up. */
  unblock(): void {
    this.#blocked = false;
  }

  /** What the peer has not taken yet. Bounds how much it may make us answer to. */
  get pendingBytes(): number {
    return this.#length + this.#socket.writableLength;
  }

  /** Names and values in turn, `:status` first. */
  headers(stream: number, fields: readonly string[], endsStream: boolean): void {
    const room = boundBlock(fields);
    const at = this.#reserve(FRAME_HEAD_BYTES + room);
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    const end = this.#hpack.encode(fields, buffer, at + FRAME_HEAD_BYTES);
    const length = end - at - FRAME_HEAD_BYTES;
    const flags = endsStream ? frame.END_STREAM : 0;
    if (length > PAYLOAD_BYTES_MAX) {
      const block = Buffer.from(buffer.subarray(at + FRAME_HEAD_BYTES, end));
      this.#splitBlock(stream, block, flags);
      return;
    }
    this.#length = end;
    putHead(buffer, at, { length, type: frame.HEADERS, flags: flags | frame.END_HEADERS, stream });
  }

  /** The bytes from `from` to `to` in one frame; no more than a frame may hold. */
  data(stream: number, bytes: Buffer, from: number, to: number): void {
    const length = to - from;
    const payload = this.#begin(frame.DATA, 0, stream, length);
    bytes.copy(this.#buffer ?? bytes, payload, from, to);
  }

  /** Sets END_STREAM on the last bytes of a stream. */
  lastData(stream: number, bytes: Buffer, from: number, to: number): void {
    const length = to - from;
    const payload = this.#begin(frame.DATA, frame.END_STREAM, stream, length);
    bytes.copy(this.#buffer ?? bytes, payload, from, to);
  }

  reset(stream: number, code: number): void {
    this.#number(frame.RST_STREAM, stream, code);
  }

  windowUpdate(stream: number, increment: number): void {
    this.#number(frame.WINDOW_UPDATE, stream, increment);
  }

  settings(settings: ReadonlyArray<readonly [id: number, value: number]>): void {
    let at = this.#begin(frame.SETTINGS, 0, 0, settings.length * 6);
    for (const [id, value] of settings) {
      this.#buffer?.writeUInt16BE(id, at);
      this.#buffer?.writeUInt32BE(value, at + 2);
      at += 6;
    }
  }

  settingsAck(): void {
    this.#begin(frame.SETTINGS, frame.ACK, 0, 0);
  }

  /** `payload` is eight bytes. */
  ping(payload: Buffer, isAck: boolean): void {
    const at = this.#begin(frame.PING, isAck ? frame.ACK : 0, 0, payload.length);
    if (this.#buffer !== undefined) payload.copy(this.#buffer, at);
  }

  goaway(lastStream: number, code: number): void {
    const at = this.#begin(frame.GOAWAY, 0, 0, 8);
    this.#buffer?.writeUInt32BE(lastStream, at);
    this.#buffer?.writeUInt32BE(code, at + 4);
  }

  /** How large a table the peer keeps for our header fields. */
  setTableSize(bytes: number): void {
    this.#hpack.setTableSize(bytes);
  }

  /** Hands everything to the socket. */
  flush(): void {
    this.#scheduled = false;
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    this.#buffer = undefined;
    const length = this.#length;
    this.#length = 0;
    const socket = this.#socket;
    if (!socket.writable) return;
    if (!socket.write(buffer.subarray(0, length))) this.#blocked = true;
    // The system has taken all of it, so that the buffer is free for whoever writes next.
    if (socket.writableLength === 0) giveBack(buffer);
  }

  #begin(type: number, flags: number, stream: number, length: number): number {
    const at = this.#reserve(FRAME_HEAD_BYTES + length);
    if (this.#buffer !== undefined) putHead(this.#buffer, at, { length, type, flags, stream });
    this.#length = at + FRAME_HEAD_BYTES + length;
    return at + FRAME_HEAD_BYTES;
  }

  #number(type: number, stream: number, value: number): void {
    const at = this.#begin(type, 0, stream, 4);
    this.#buffer?.writeUInt32BE(value, at);
  }

  /** Makes room for that many bytes. Returns where they begin. */
  #reserve(bytes: number): number {
    if (this.#buffer !== undefined && this.#length + bytes > this.#buffer.length) {
      const scheduled = this.#scheduled;
      this.flush();
      this.#scheduled = scheduled;
    }
    this.#buffer ??= borrow(bytes);
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#round.add(this);
    }
    return this.#length;
  }

  #splitBlock(stream: number, block: Buffer, flags: number): void {
    let type: number = frame.HEADERS;
    let first = flags;
    for (let at = 0; at < block.length; at += PAYLOAD_BYTES_MAX) {
      const end = Math.min(at + PAYLOAD_BYTES_MAX, block.length);
      const last = end === block.length ? frame.END_HEADERS : 0;
      const payload = this.#begin(type, first | last, stream, end - at);
      block.copy(this.#buffer ?? block, payload, at, end);
      type = frame.CONTINUATION;
      first = 0;
    }
  }
}

interface Head {
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
}

function putHead(buffer: Buffer, at: number, head: Head): void {
  const { length, stream } = head;
  buffer[at] = length >>> 16;
  buffer[at + 1] = length >>> 8;
  buffer[at + 2] = length;
  buffer[at + 3] = head.type;
  buffer[at + 4] = head.flags;
  buffer[at + 5] = stream >>> 24;
  buffer[at + 6] = stream >>> 16;
  buffer[at + 7] = stream >>> 8;
  buffer[at + 8] = stream;
}

/** Holds a frame of the longest kind, its head, and what goes with it. */
const BUFFER_BYTES = 32 * 1024;
const FREE_MAX = 64;
/** Shared by all connections: one that is silent has none. */
const free: Buffer[] = [];

function borrow(bytes: number): Buffer {
  if (bytes > BUFFER_BYTES) return Buffer.allocUnsafeSlow(bytes);
  return free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
}

function giveBack(buffer: Buffer): void {
  if (buffer.length === BUFFER_BYTES && free.length < FREE_MAX) free.push(buffer);
}
