import type { FlushRound } from "./flush-round.ts";
import * as frame from "./frames.ts";
import { FRAME_HEAD_BYTES, PAYLOAD_BYTES_MAX } from "./frames.ts";
import { boundBlock, HpackEncoder } from "./hpack-encoder.ts";
import { SETTING_BYTES } from "./settings.ts";

/** What frames are written to: a socket, or what a test has for one. */
export interface FrameSocket {
  readonly writable: boolean;
  readonly writableLength: number;
  write(bytes: Buffer): boolean;
}

/**
 * Writes frames into one buffer, which leaves at the end of the turn, or when it is full. What goes
 * through here is on its way: flow control has been asked before.
 */
export class FrameWriter {
  readonly #socket: FrameSocket;
  readonly #round: FlushRound;
  readonly #hpack = new HpackEncoder();
  #buffer: Buffer | undefined;
  #length = 0;
  #scheduled = false;
  #blocked = false;

  constructor(socket: FrameSocket, round: FlushRound) {
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
    const buffer = this.#reserve(FRAME_HEAD_BYTES + boundBlock(fields));
    const at = this.#length;
    const start = at + FRAME_HEAD_BYTES;
    const end = this.#hpack.encode(fields, buffer, start);
    const length = end - start;
    const flags = endsStream ? frame.END_STREAM : 0;
    if (length > PAYLOAD_BYTES_MAX) {
      this.#splitBlock(stream, Buffer.from(buffer.subarray(start, end)), flags);
      return;
    }
    putHead(buffer, at, { length, type: frame.HEADERS, flags: flags | frame.END_HEADERS, stream });
    this.#length = end;
  }

  /** The bytes from `from` to `to` in one frame; no more than a frame may hold. */
  data(stream: number, bytes: Buffer, from: number, to: number): void {
    this.#copy({ length: to - from, type: frame.DATA, flags: 0, stream }, bytes, from);
  }

  /** The last bytes of a stream, which they end. */
  lastData(stream: number, bytes: Buffer, from: number, to: number): void {
    const flags = frame.END_STREAM;
    this.#copy({ length: to - from, type: frame.DATA, flags, stream }, bytes, from);
  }

  reset(stream: number, code: number): void {
    this.#number(frame.RST_STREAM, stream, code);
  }

  windowUpdate(stream: number, increment: number): void {
    this.#number(frame.WINDOW_UPDATE, stream, increment);
  }

  settings(settings: ReadonlyArray<readonly [id: number, value: number]>): void {
    const length = settings.length * SETTING_BYTES;
    const buffer = this.#begin({ length, type: frame.SETTINGS, flags: 0, stream: 0 });
    let at = this.#length - length;
    for (const [id, value] of settings) {
      buffer.writeUInt16BE(id, at);
      buffer.writeUInt32BE(value, at + 2);
      at += SETTING_BYTES;
    }
  }

  settingsAck(): void {
    this.#begin({ length: 0, type: frame.SETTINGS, flags: frame.ACK, stream: 0 });
  }

  /** `payload` is eight bytes. */
  ping(payload: Buffer, isAck: boolean): void {
    const flags = isAck ? frame.ACK : 0;
    this.#copy({ length: payload.length, type: frame.PING, flags, stream: 0 }, payload, 0);
  }

  goaway(lastStream: number, code: number): void {
    const buffer = this.#begin({ length: 8, type: frame.GOAWAY, flags: 0, stream: 0 });
    buffer.writeUInt32BE(lastStream, this.#length - 8);
    buffer.writeUInt32BE(code, this.#length - 4);
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

  /** Writes a frame's head and makes room for its payload, which has to be written at once. */
  #begin(head: Head): Buffer {
    const bytes = FRAME_HEAD_BYTES + head.length;
    const buffer = this.#reserve(bytes);
    putHead(buffer, this.#length, head);
    this.#length += bytes;
    return buffer;
  }

  #copy(head: Head, payload: Buffer, from: number): void {
    const buffer = this.#begin(head);
    payload.copy(buffer, this.#length - head.length, from, from + head.length);
  }

  #number(type: number, stream: number, value: number): void {
    const buffer = this.#begin({ length: 4, type, flags: 0, stream });
    buffer.writeUInt32BE(value, this.#length - 4);
  }

  /** A buffer with room for so many bytes behind what is written already. */
  #reserve(bytes: number): Buffer {
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
    return this.#buffer;
  }

  #splitBlock(stream: number, block: Buffer, flags: number): void {
    for (let at = 0; at < block.length; at += PAYLOAD_BYTES_MAX) {
      const length = Math.min(PAYLOAD_BYTES_MAX, block.length - at);
      const last = at + length === block.length ? frame.END_HEADERS : 0;
      const type = at === 0 ? frame.HEADERS : frame.CONTINUATION;
      this.#copy({ length, type, flags: (at === 0 ? flags : 0) | last, stream }, block, at);
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
const FREE_MAX = 128;
/** Shared by all connections: one that is silent has none. */
const free: Buffer[] = [];

function borrow(bytes: number): Buffer {
  if (bytes > BUFFER_BYTES) return Buffer.allocUnsafeSlow(bytes);
  return free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
}

function giveBack(buffer: Buffer): void {
  if (buffer.length === BUFFER_BYTES && free.length < FREE_MAX) free.push(buffer);
}
