import type { IncomingHttpHeaders } from "node:http2";
import { connectionFields, isToken } from "../field-syntax.ts";
import { formatHttpDate } from "../http-date.ts";
import type { ExchangeReceiver, HttpExchange } from "../http-exchange.ts";
import type { H2Stream } from "./h2-stream.ts";

/** Takes a request on an HTTP/2 stream; tells a client that waits for it to send its body. */
export function createH2Exchange(stream: H2Stream, headers: IncomingHttpHeaders): H2Exchange {
  if (headers.expect === "100-continue") stream.inform([":status", "100"]);
  return new H2Exchange(stream, headers);
}

/** A request on an HTTP/2 stream, for the doors that serve both versions alike. */
export class H2Exchange implements HttpExchange {
  readonly version = "2.0";
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly #stream: H2Stream;
  /** The answer's header while it waits for what goes with it. */
  #fields: string[] | undefined;
  #responded = false;

  constructor(stream: H2Stream, headers: IncomingHttpHeaders) {
    this.#stream = stream;
    this.headers = headers;
    this.method = headers[":method"] ?? "";
    this.url = headers[":path"] ?? "";
  }

  get encrypted(): boolean {
    return this.#stream.encrypted;
  }

  get receiver(): ExchangeReceiver {
    return this.#stream.receiver;
  }

  set receiver(receiver: ExchangeReceiver) {
    this.#stream.receiver = receiver;
  }

  get requestEnded(): boolean {
    return this.#stream.requestEnded;
  }

  get headersSent(): boolean {
    return this.#responded;
  }

  get answerEnded(): boolean {
    return this.#stream.answerEnded;
  }

  get closed(): boolean {
    return this.#stream.closed;
  }

  get closeCode(): number {
    return this.#stream.closeCode;
  }

  respond(status: number, fields: readonly string[]): void {
    if (this.closed || this.#responded) return;
    const sent = [":status", String(status)];
    let dated = false;
    for (let at = 0; at + 1 < fields.length; at += 2) {
      const name = fields[at] ?? "";
      const value = fields[at + 1] ?? "";
      if (connectionFields.has(name)) continue;
      if (!isToken(name)) throw new TypeError(`"${name}" is no name of a header field.`);
      if (name === "date") dated = true;
      sent.push(name, value);
    }
    if (!dated) sent.push("date", formatHttpDate());
    this.#fields = sent;
    this.#responded = true;
  }

  flush(): void {
    this.#sendFields(false);
  }

  write(part: Buffer | string): boolean {
    this.#sendFields(false);
    if (this.method === "HEAD") return true;
    return this.#stream.write(toBytes(part));
  }

  /** A turn's frames leave in one write anyway. */
  cork(): void {}

  end(part?: Buffer | string, trailers?: readonly string[]): void {
    const body = part === undefined || part.length === 0 || this.method === "HEAD" ? "" : part;
    const bare = body === "" && (trailers === undefined || trailers.length === 0);
    if (bare && this.#fields !== undefined) {
      this.#sendFields(true);
      return;
    }
    this.#sendFields(false);
    this.#stream.end(body === "" ? undefined : toBytes(body), trailers);
  }

  reset(code: number): void {
    this.#stream.reset(code);
  }

  consume(bytes: number): void {
    this.#stream.consume(bytes);
  }

  #sendFields(ends: boolean): void {
    const fields = this.#fields;
    if (fields === undefined) return;
    this.#fields = undefined;
    this.#stream.respond(fields, ends);
  }
}

function toBytes(part: Buffer | string): Buffer {
  return typeof part === "string" ? Buffer.from(part) : part;
}
