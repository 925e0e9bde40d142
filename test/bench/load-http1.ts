import { connect, type Socket } from "node:net";
import { countMarks, type LoadSlot, type SlotOptions } from "./load-slot.ts";
import { CONTENT_MARK } from "./upstream-bytes.ts";

const HEAD_END = Buffer.from("\r\n\r\n");
const BODY_END = Buffer.from("0\r\n\r\n");
const MARK = Buffer.from(CONTENT_MARK);
const LENGTH_FIELD = /\r\ncontent-length: *(\d+)/i;

/** Reads are copied by nobody: every connection reads into the same bytes, one after the other. */
const shared = Buffer.allocUnsafe(256 * 1024);

/** One HTTP/1.1 connection that asks the same thing again and again, and reads of the answers only where they end. */
export class Http1Slot implements LoadSlot {
  sinceMs = 0;
  shown = false;
  readonly #options: SlotOptions;
  readonly #socket: Socket;
  /** A head that came in pieces. */
  #head: Buffer | undefined;
  /** Bytes of body still to come; NaN for a chunked body. Undefined while the head is awaited. */
  #remaining: number | undefined;
  #bodyBytes = 0;
  /** The last bytes of a chunked body, in case its end comes in pieces. */
  #tail = "";
  #fault: string | undefined;
  #busy = false;

  constructor(options: SlotOptions) {
    this.#options = options;
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
    this.#socket.once("connect", () => options.events.opened(this));
    this.#socket.on("error", (error) => this.#finish(error.message));
    this.#socket.on("close", () => this.#finish("the connection was closed"));
  }

  send(): void {
    this.#busy = true;
    this.shown = false;
    this.#socket.write(this.#options.request);
  }

  #take(piece: Buffer): void {
    let body: Buffer | undefined = piece;
    if (this.#remaining === undefined) body = this.#takeHead(piece);
    if (body === undefined || body.length === 0) return;
    this.#bodyBytes += body.length;
    this.#lookForMarks(body);
    if (this.#isLast(body)) this.#complete();
  }

  #takeHead(piece: Buffer): Buffer | undefined {
    const bytes = this.#head === undefined ? piece : Buffer.concat([this.#head, piece]);
    const end = bytes.indexOf(HEAD_END);
    if (end < 0) {
      this.#head = Buffer.from(bytes);
      return undefined;
    }
    this.#head = undefined;
    const text = bytes.toString("latin1", 0, end);
    this.#remaining = Number(LENGTH_FIELD.exec(text)?.[1] ?? Number.NaN);
    const body = bytes.subarray(end + 4);
    if (text.slice(9, 12) !== "200") {
      this.#fault = `${text.slice(9, 12)}: ${body.toString("latin1", 0, 300)}`;
    }
    return body;
  }

  #lookForMarks(body: Buffer): void {
    const { events, marks } = this.#options;
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

  #isLast(body: Buffer): boolean {
    if (Number.isNaN(this.#remaining)) {
      const last = body.subarray(-BODY_END.length);
      if (last.length === BODY_END.length) {
        this.#tail = "";
        if (last.equals(BODY_END)) return true;
      }
      this.#tail = (this.#tail + last.toString("latin1")).slice(-BODY_END.length);
      return this.#tail === "0\r\n\r\n";
    }
    this.#remaining = (this.#remaining ?? 0) - body.length;
    return this.#remaining <= 0;
  }

  #complete(): void {
    const bytes = this.#bodyBytes;
    if (bytes < this.#options.bodyBytesMin) this.#fault ??= `the answer has only ${bytes} bytes`;
    this.#remaining = undefined;
    this.#bodyBytes = 0;
    this.#tail = "";
    this.#finish(this.#fault);
    this.#fault = undefined;
  }

  #finish(fault: string | undefined): void {
    if (!this.#busy) return;
    this.#busy = false;
    this.#options.events.done(this, fault);
  }
}
