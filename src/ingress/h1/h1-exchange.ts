import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import { type ExchangeReceiver, type HttpExchange, nobody } from "../http-exchange.ts";
import { type AnswerHead, createAnswerHead, Framing, writeTrailers } from "./answer-head.ts";
import type { RequestHead } from "./request-head.ts";

/** What an exchange needs of its connection. */
export interface ExchangeOwner {
  readonly socket: Socket;
  readonly encrypted: boolean;
  /** What is said of a connection that is kept. */
  readonly keepAliveText: string;
  /** Whether the connection may go on after an answer that begins now. */
  mayGoOn(): boolean;
  /** The answer's last byte was handed to the socket. */
  answered(exchange: H1Exchange): void;
  /** The exchange cannot be ended well. */
  broken(exchange: H1Exchange, code: number): void;
  /** The request may go on. */
  consumed(): void;
}

/** One request and its answer on an HTTP/1.1 connection, whose only one it is at the time. */
export class H1Exchange implements HttpExchange {
  readonly version: "1.0" | "1.1";
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  receiver: ExchangeReceiver = nobody;
  /** For the connection: whether the request has come to its end. */
  requestEnded = false;
  /** Whether the client said that it asks for nothing more. */
  readonly last: boolean;
  /** For the connection: whether it goes on after the answer. */
  keepAlive: boolean;
  /** For the connection: whether `write()` said that it has to wait. */
  wantsDrain = false;
  readonly #owner: ExchangeOwner;
  #head: AnswerHead | undefined;
  /** What leaves with the next bytes, a character for each octet. */
  #waiting = "";
  #waitingAscii = true;
  #corked = false;
  /** Bytes of the body that the header promised and that have not been written. */
  #left = 0;
  #answerEnded = false;
  #closeCode: number | undefined;

  constructor(head: RequestHead, owner: ExchangeOwner) {
    this.version = head.version;
    this.method = head.method;
    this.url = head.url;
    this.headers = head.headers;
    this.last = !head.keepAlive;
    this.keepAlive = head.keepAlive;
    this.#owner = owner;
  }

  get encrypted(): boolean {
    return this.#owner.encrypted;
  }

  get headersSent(): boolean {
    return this.#head !== undefined;
  }

  get answerEnded(): boolean {
    return this.#answerEnded;
  }

  get closed(): boolean {
    return this.#closeCode !== undefined;
  }

  get closeCode(): number {
    return this.#closeCode ?? 0;
  }

  respond(status: number, fields: readonly string[]): void {
    if (this.closed || this.#head !== undefined) return;
    const { method, version } = this;
    const keepAlive = this.keepAlive && this.#owner.mayGoOn();
    const { keepAliveText } = this.#owner;
    const head = createAnswerHead(status, fields, { method, version, keepAlive, keepAliveText });
    this.#head = head;
    this.#waiting = head.text;
    this.#waitingAscii = head.ascii;
    this.#left = head.length;
    this.keepAlive = head.keepAlive;
  }

  flush(): void {
    if (!this.closed && this.#waiting !== "" && !this.#corked) this.#send("");
  }

  cork(): void {
    this.#corked = true;
  }

  write(part: Buffer | string): boolean {
    if (this.closed || this.#answerEnded || this.#head === undefined) return false;
    if (part.length === 0 || this.#head.framing === Framing.NONE || this.#send(part)) return true;
    this.wantsDrain = true;
    return false;
  }

  end(part?: Buffer | string, trailers?: readonly string[]): void {
    const head = this.#head;
    if (this.closed || this.#answerEnded || head === undefined) return;
    // May throw, while there is still something that the caller can do about it.
    const late = trailers === undefined ? "" : writeTrailers(trailers);
    this.#answerEnded = true;
    this.#corked = false;
    const body = head.framing === Framing.NONE || part === undefined ? "" : part;
    if (head.framing === Framing.CHUNKED) this.#send(body, `0\r\n${late}\r\n`);
    else if (body.length > 0 || this.#waiting !== "") this.#send(body);
    // Whoever reads on would take the next answer for the rest of this one.
    if (head.framing === Framing.LENGTH && this.#left !== 0) this.reset(INTERNAL_ERROR);
    else this.#owner.answered(this);
  }

  reset(code: number): void {
    if (!this.closed) this.#owner.broken(this, code);
  }

  consume(_bytes: number): void {
    if (!this.closed) this.#owner.consumed();
  }

  /** For the connection: lets go of everything, and tells the receiver. */
  close(code: number): void {
    if (this.closed) return;
    this.#closeCode = code;
    const { receiver } = this;
    this.receiver = nobody;
    receiver.takeClose(code);
  }

  /** In one write, as far as that copies little: what waits, these bytes, and what ends them. */
  #send(part: Buffer | string, end = ""): boolean {
    const isText = typeof part === "string";
    const bytes = isText ? Buffer.byteLength(part) : part.length;
    this.#left -= bytes;
    let before = this.#waiting;
    let after = end;
    if (this.#head?.framing === Framing.CHUNKED && bytes > 0) {
      before += `${bytes.toString(16)}\r\n`;
      after = `\r\n${end}`;
    }
    const { socket } = this.#owner;
    const ascii = isText && bytes === part.length;
    // The system writes short strings without memory of its own; long ones are better not copied.
    if (ascii || (!isText && bytes <= LETTERS_MAX)) {
      const text = before + (isText ? part : part.toString("latin1")) + after;
      this.#waiting = "";
      if (!this.#corked) return socket.write(text, "latin1");
      this.#waiting = text;
      this.#waitingAscii = this.#waitingAscii && ascii;
      return true;
    }
    this.#waiting = "";
    if (isText && this.#waitingAscii) return socket.write(before + part + after, "utf8");
    socket.cork();
    if (before !== "") socket.write(before, "latin1");
    if (isText) socket.write(part, "utf8");
    else socket.write(part);
    if (after !== "") socket.write(after, "latin1");
    socket.uncork();
    return !socket.writableNeedDrain;
  }
}

/** Bytes that are better copied into a string than sent by a write of their own. */
const LETTERS_MAX = 12 * 1024;
/** As HTTP/2 counts. */
const INTERNAL_ERROR = 2;
