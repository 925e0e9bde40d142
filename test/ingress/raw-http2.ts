import { connect, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { HpackDecoder } from "../../src/ingress/h2/hpack-decoder.ts";
import { NaiveEncoder } from "../../src/ingress/h2/naive-hpack.fixture.ts";
import type { Door } from "./open-door.ts";

/** Frames by RFC 9113, section 6, and why a stream or a connection ends by section 7. */
export const Type = {
  ...{ DATA: 0, HEADERS: 1, PRIORITY: 2, RST_STREAM: 3, SETTINGS: 4, PUSH_PROMISE: 5 },
  ...{ PING: 6, GOAWAY: 7, WINDOW_UPDATE: 8, CONTINUATION: 9 },
} as const;
export const Flag = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;
export const Code = {
  ...{ NO_ERROR: 0, PROTOCOL_ERROR: 1, INTERNAL_ERROR: 2, FLOW_CONTROL_ERROR: 3, STREAM_CLOSED: 5 },
  ...{ FRAME_SIZE_ERROR: 6, REFUSED_STREAM: 7, CANCEL: 8, COMPRESSION_ERROR: 9 },
  ...{ ENHANCE_YOUR_CALM: 11 },
} as const;

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** A frame, however wrong. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Numbers of four bytes. */
export function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [at, value] of values.entries()) bytes.writeUInt32BE(value, at * 4);
  return bytes;
}

/** A frame of settings. */
export function settings(...entries: ReadonlyArray<readonly [id: number, value: number]>): Buffer {
  const payload = entries.map(([id, value]) => {
    const entry = Buffer.alloc(6);
    entry.writeUInt16BE(id, 0);
    entry.writeUInt32BE(value, 2);
    return entry;
  });
  return frame(Type.SETTINGS, 0, 0, Buffer.concat(payload));
}

export type Fields = ReadonlyArray<readonly [name: string, value: string]>;

/** A header block of literals that leave the table as it is. */
export function block(fields: Fields): Buffer {
  const encoder = new NaiveEncoder(0);
  return Buffer.concat(fields.map((field) => encoder.encode(field, "plain")));
}

export const get: Fields = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/healthz"],
  [":authority", "weir"],
];

/** HEADERS that end the stream, unless other flags are given. */
export function headers(stream: number, fields: Fields, flags?: number): Buffer {
  return frame(Type.HEADERS, flags ?? Flag.END_STREAM + Flag.END_HEADERS, stream, block(fields));
}

/** What came from the server. */
export interface Received {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
  /** Of HEADERS. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A client that sends whatever bytes it is told, and cuts into frames what comes back. */
export class RawPeer {
  readonly socket: Socket;
  readonly received: Received[] = [];
  readonly closed: Promise<void>;
  readonly #decoder = new HpackDecoder({ tableBytesMax: 4096, listBytesMax: 1e6 });
  #bytes: Buffer = Buffer.alloc(0);
  #isClosed = false;
  #watchers: Array<() => void> = [];

  constructor(door: Door) {
    this.socket = connect({ port: door.port.port, host: "127.0.0.1", noDelay: true });
    this.closed = new Promise((resolve) => {
      this.socket.on("close", () => {
        this.#isClosed = true;
        this.#wake();
        resolve();
      });
    });
    this.socket.on("error", () => {});
    this.socket.on("data", (bytes: Buffer) => this.#take(bytes));
    onTestFinished(() => {
      this.socket.destroy();
    });
  }

  /** One that has said the preface and its settings. */
  static greet(door: Door, ...entries: ReadonlyArray<readonly [number, number]>): RawPeer {
    const peer = new RawPeer(door);
    peer.send(PREFACE, settings(...entries));
    return peer;
  }

  send(...pieces: Buffer[]): void {
    this.socket.write(Buffer.concat(pieces));
  }

  /** The first frame of which this is true. Rejects when the server closes before. */
  async find(isIt: (frame: Received) => boolean): Promise<Received> {
    for (;;) {
      const found = this.received.find(isIt);
      if (found !== undefined) return found;
      if (this.#isClosed) throw new Error("The server closed without that.");
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  /** The status that a stream is answered with. */
  async status(stream: number): Promise<unknown> {
    const head = await this.find((each) => each.type === Type.HEADERS && each.stream === stream);
    return head.fields[":status"];
  }

  /** The code that the server resets a stream with. */
  async reset(stream: number): Promise<number> {
    const isReset = (each: Received) => each.type === Type.RST_STREAM && each.stream === stream;
    return (await this.find(isReset)).payload.readUInt32BE(0);
  }

  /** The code that the server ends the connection with, once it is closed. */
  async goaway(): Promise<number> {
    const last = await this.find((each) => each.type === Type.GOAWAY);
    await this.closed;
    return last.payload.readUInt32BE(4);
  }

  /** Resolves when the server has read everything that was sent. */
  async settled(): Promise<void> {
    const payload = Buffer.from(String(this.received.length).padStart(8));
    this.send(frame(Type.PING, 0, 0, payload));
    await this.find((each) => each.type === Type.PING && each.payload.equals(payload));
  }

  /** The bytes of a stream's body that have come. */
  bodyBytes(stream: number): number {
    const isData = (each: Received) => each.type === Type.DATA && each.stream === stream;
    return this.received.filter(isData).reduce((sum, each) => sum + each.payload.length, 0);
  }

  #take(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    let at = 0;
    while (this.#bytes.length - at >= 9) {
      const end = at + 9 + this.#bytes.readUIntBE(at, 3);
      if (end > this.#bytes.length) break;
      this.#note(this.#bytes.subarray(at, end));
      at = end;
    }
    this.#bytes = this.#bytes.subarray(at);
    this.#wake();
  }

  #note(bytes: Buffer): void {
    const [type = 0, flags = 0] = bytes.subarray(3, 5);
    const payload = bytes.subarray(9);
    const fields =
      type === Type.HEADERS ? this.#decoder.decode(payload, 0, payload.length).headers : {};
    this.received.push({ type, flags, stream: bytes.readUInt32BE(5), payload, fields });
  }

  #wake(): void {
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const wake of watchers) wake();
  }
}
