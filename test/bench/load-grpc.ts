import { connect, type Socket } from "node:net";
import { encodeHeaderBlocks } from "./hpack.ts";
import { countMarks, type LoadSlot, type SlotOptions } from "./load-slot.ts";
import { CONTENT_MARK } from "./upstream-bytes.ts";

/** What a gRPC connection must know beyond what every slot must. */
export interface GrpcOptions extends SlotOptions {
  readonly path: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly streams: number;
}

const FRAME_HEAD = 9;
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;

const FRAME_BYTES_MAX = 16_384;
const WINDOW_BYTES = 65_535;
/** The server may send this much before it must be told that it was read. */
const RECEIVE_BYTES = 2 ** 31 - 1;
const RENEW_BYTES = 2 ** 28;

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const MARK = Buffer.from(CONTENT_MARK);
const shared = Buffer.allocUnsafe(256 * 1024);

/**
 * One connection of a gRPC client on a raw socket: frames and header blocks are built beforehand, and of an answer only
 * the length, the first content and the end are read. Trailers are not decoded: an answer that failed has too few bytes.
 */
export class GrpcConnection {
  readonly options: GrpcOptions;
  readonly #socket: Socket;
  readonly #slots = new Map<number, GrpcSlot>();
  readonly #firstBlock: Buffer;
  readonly laterBlock: Buffer;
  #nextStream = 1;
  #sendWindow = WINDOW_BYTES;
  #consumed = 0;
  #waiting: GrpcSlot[] = [];
  /** The start of a frame whose rest has not come. */
  #rest: Buffer | undefined;
  #reading = false;
  #outbox: Buffer[] = [];

  constructor(options: GrpcOptions) {
    if (options.request.length > FRAME_BYTES_MAX) throw new Error("the request needs two frames");
    this.options = options;
    const authority = `127.0.0.1:${options.port}`;
    const fields = { ...GRPC_FIELDS, ...options.fields };
    const blocks = encodeHeaderBlocks(authority, options.path, fields);
    this.#firstBlock = blocks.first;
    this.laterBlock = blocks.later;
    this.#socket = connect({
      host: "127.0.0.1",
      port: options.port,
      noDelay: true,
      onread: {
        buffer: shared,
        callback: (count) => {
          this.#take(shared.subarray(0, count));
          return true;
        },
      },
    });
    this.#socket.once("connect", () => this.#open());
    this.#socket.on("error", (error) => this.#closed(error.message));
    this.#socket.on("close", () => this.#closed("the connection was closed"));
  }

  send(slot: GrpcSlot): void {
    const { request } = this.options;
    if (this.#sendWindow < request.length) {
      this.#waiting.push(slot);
      return;
    }
    this.#sendWindow -= request.length;
    const stream = this.#nextStream;
    this.#nextStream += 2;
    this.#slots.set(stream, slot);
    const frames = slot.frames(stream);
    if (stream > 1) this.#write(frames);
    else this.#write(joinFrames(this.#firstBlock, request, stream));
  }

  #open(): void {
    const settings = Buffer.alloc(FRAME_HEAD + 6);
    writeHead(settings, { length: 6, type: SETTINGS, flags: 0, stream: 0 });
    // SETTINGS_INITIAL_WINDOW_SIZE
    settings.writeUInt16BE(4, FRAME_HEAD);
    settings.writeUInt32BE(RECEIVE_BYTES, FRAME_HEAD + 2);
    const update = createWindowUpdate(RECEIVE_BYTES - WINDOW_BYTES);
    this.#socket.write(Buffer.concat([PREFACE, settings, update]));
    for (let at = 0; at < this.options.streams; at++) {
      this.options.events.opened(new GrpcSlot(this));
    }
  }

  /** What is sent while a read is taken apart goes out as one write at its end. */
  #write(bytes: Buffer): void {
    if (this.#reading) this.#outbox.push(bytes);
    else this.#socket.write(bytes);
  }

  #take(piece: Buffer): void {
    const bytes = this.#rest === undefined ? piece : Buffer.concat([this.#rest, piece]);
    this.#rest = undefined;
    this.#reading = true;
    let at = 0;
    while (at + FRAME_HEAD <= bytes.length) {
      const end = at + FRAME_HEAD + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      this.#takeFrame(bytes, at, end);
      at = end;
    }
    this.#reading = false;
    if (at < bytes.length) this.#rest = Buffer.from(bytes.subarray(at));
    this.#renewWindow();
    const [first, ...others] = this.#outbox;
    this.#outbox = [];
    if (first === undefined) return;
    this.#socket.write(others.length === 0 ? first : Buffer.concat([first, ...others]));
  }

  #takeFrame(bytes: Buffer, at: number, end: number): void {
    const flags = bytes[at + 4] ?? 0;
    const stream = bytes.readUInt32BE(at + 5);
    const payload = at + FRAME_HEAD;
    switch (bytes[at + 3]) {
      case DATA:
        this.#consumed += end - payload;
        this.#slots.get(stream)?.takeBody(bytes.subarray(payload, end));
        return;
      case HEADERS:
        if ((flags & END_STREAM) !== 0) this.#finish(stream, undefined);
        return;
      case RST_STREAM:
        this.#finish(stream, "the stream was reset");
        return;
      case SETTINGS:
        if ((flags & ACK) === 0) this.#write(createFrame(SETTINGS, ACK, EMPTY));
        return;
      case PING:
        if ((flags & ACK) !== 0) return;
        this.#write(createFrame(PING, ACK, Buffer.from(bytes.subarray(payload, end))));
        return;
      case WINDOW_UPDATE:
        if (stream === 0) this.#widenWindow(bytes.readUInt32BE(payload));
        return;
      case GOAWAY:
        this.#socket.destroy(new Error("the server said GOAWAY"));
        return;
    }
  }

  #widenWindow(byBytes: number): void {
    this.#sendWindow += byBytes;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const slot of waiting) this.send(slot);
  }

  #renewWindow(): void {
    if (this.#consumed < RENEW_BYTES) return;
    this.#outbox.push(createWindowUpdate(this.#consumed));
    this.#consumed = 0;
  }

  #finish(stream: number, fault: string | undefined): void {
    const slot = this.#slots.get(stream);
    this.#slots.delete(stream);
    slot?.finish(fault);
  }

  #closed(fault: string): void {
    for (const stream of [...this.#slots.keys()]) this.#finish(stream, fault);
  }
}

/** One stream at a time of a connection. */
class GrpcSlot implements LoadSlot {
  sinceMs = 0;
  shown = false;
  readonly #connection: GrpcConnection;
  /** Header and data of the request, ready but for the stream's number. */
  readonly #frames: Buffer;
  #bodyBytes = 0;

  constructor(connection: GrpcConnection) {
    this.#connection = connection;
    this.#frames = joinFrames(connection.laterBlock, connection.options.request, 1);
  }

  send(): void {
    this.shown = false;
    this.#bodyBytes = 0;
    this.#connection.send(this);
  }

  /** The bytes are free again once the answer has come. */
  frames(stream: number): Buffer {
    this.#frames.writeUInt32BE(stream, 5);
    this.#frames.writeUInt32BE(stream, FRAME_HEAD + this.#connection.laterBlock.length + 5);
    return this.#frames;
  }

  takeBody(body: Buffer): void {
    this.#bodyBytes += body.length;
    const { events, marks } = this.#connection.options;
    if (marks) {
      const count = countMarks(body, MARK);
      if (count > 0) events.marks(count);
      if (count === 0 || this.shown) return;
    } else if (this.shown || !body.includes(MARK)) {
      return;
    }
    this.shown = true;
    events.content(this);
  }

  finish(fault: string | undefined): void {
    const { bodyBytesMin, events } = this.#connection.options;
    const short = this.#bodyBytes < bodyBytesMin;
    const text = short ? `the answer has only ${this.#bodyBytes} bytes` : undefined;
    events.done(this, fault ?? text);
  }
}

const EMPTY = Buffer.alloc(0);

const GRPC_FIELDS = {
  te: "trailers",
  "content-type": "application/grpc",
  "user-agent": "weir-bench",
  "grpc-accept-encoding": "identity",
};

function joinFrames(block: Buffer, request: Buffer, stream: number): Buffer {
  const bytes = Buffer.alloc(2 * FRAME_HEAD + block.length + request.length);
  writeHead(bytes, { length: block.length, type: HEADERS, flags: END_HEADERS, stream });
  block.copy(bytes, FRAME_HEAD);
  const data = bytes.subarray(FRAME_HEAD + block.length);
  writeHead(data, { length: request.length, type: DATA, flags: END_STREAM, stream });
  request.copy(data, FRAME_HEAD);
  return bytes;
}

function createFrame(type: number, flags: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(FRAME_HEAD);
  writeHead(head, { length: payload.length, type, flags, stream: 0 });
  return Buffer.concat([head, payload]);
}

function createWindowUpdate(bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return createFrame(WINDOW_UPDATE, 0, payload);
}

interface FrameHead {
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
}

function writeHead(bytes: Buffer, head: FrameHead): void {
  bytes.writeUIntBE(head.length, 0, 3);
  bytes[3] = head.type;
  bytes[4] = head.flags;
  bytes.writeUInt32BE(head.stream, 5);
}
