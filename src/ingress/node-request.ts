import type { IncomingHttpHeaders } from "node:http";
import { Readable } from "node:stream";
import type { HttpExchange } from "./http-exchange.ts";

/** A request in the form of node:http's, for the doors that are written for that. */
export class NodeRequest extends Readable {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly httpVersion: string;
  readonly httpVersionMajor: number;
  readonly httpVersionMinor: number;
  readonly authority: string | undefined;
  /** What connect-node asks of a socket. */
  readonly socket: { readonly encrypted: boolean };
  /** What connect-node asks of a stream: why it closed. */
  readonly stream: { readonly rstCode: number };
  readonly trailers: Record<string, string | string[] | undefined> = {};
  readonly #exchange: HttpExchange;
  /** Bytes that came while nobody read. */
  #unread = 0;

  constructor(exchange: HttpExchange) {
    // It closes with its exchange, and not as soon as the body is read.
    super({ autoDestroy: false });
    const { version, headers } = exchange;
    this.#exchange = exchange;
    this.headers = headers;
    this.method = exchange.method;
    this.url = exchange.url;
    this.httpVersion = version;
    this.httpVersionMajor = version === "2.0" ? 2 : 1;
    this.httpVersionMinor = version === "1.1" ? 1 : 0;
    const authority = headers[":authority"];
    this.authority = typeof authority === "string" ? authority : headers.host;
    this.socket = { encrypted: exchange.encrypted };
    this.stream = new CloseCode(exchange);
  }

  /** For the exchange: a piece of the body. False when it has to wait for a reader. */
  takeData(bytes: Buffer): boolean {
    if (this.destroyed || this.push(bytes)) return true;
    this.#unread += bytes.length;
    return false;
  }

  /** For the exchange: the body's end. */
  takeEnd(trailers: IncomingHttpHeaders | undefined): void {
    Object.assign(this.trailers, trailers);
    this.push(null);
  }

  override _read(): void {
    const bytes = this.#unread;
    if (bytes === 0) return;
    this.#unread = 0;
    this.#exchange.consume(bytes);
  }
}

class CloseCode {
  readonly #exchange: HttpExchange;

  constructor(exchange: HttpExchange) {
    this.#exchange = exchange;
  }

  get rstCode(): number {
    return this.#exchange.closeCode;
  }
}
