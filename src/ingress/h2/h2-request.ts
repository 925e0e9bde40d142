import type { IncomingHttpHeaders } from "node:http2";
import { Readable } from "node:stream";
import type { H2Stream } from "./h2-stream.ts";

/** A request on a stream in the form of node:http's, for the doors that are written for that. */
export class H2Request extends Readable {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly httpVersion = "2.0";
  readonly httpVersionMajor = 2;
  readonly httpVersionMinor = 0;
  readonly authority: string | undefined;
  /** What connect-node asks of a socket. */
  readonly socket: { readonly encrypted: boolean };
  /** What connect-node asks of a stream: why it closed. */
  readonly stream: { readonly rstCode: number };
  readonly trailers: Record<string, string | string[] | undefined> = {};
  readonly #stream: H2Stream;
  /** Bytes that came while nobody read. */
  #unread = 0;

  constructor(stream: H2Stream, headers: IncomingHttpHeaders) {
    // It closes with its stream, and not as soon as the body is read.
    super({ autoDestroy: false });
    this.#stream = stream;
    this.headers = headers;
    this.method = headers[":method"] ?? "";
    this.url = headers[":path"] ?? "";
    this.authority = headers[":authority"] ?? headers.host;
    this.socket = { encrypted: stream.encrypted };
    this.stream = new CloseCode(stream);
  }

  /** For the stream: a piece of the body. False when it has to wait for a reader. */
  takeData(bytes: Buffer): boolean {
    if (this.destroyed || this.push(bytes)) return true;
    this.#unread += bytes.length;
    return false;
  }

  /** For the stream: the body's end. */
  takeEnd(trailers: IncomingHttpHeaders | undefined): void {
    Object.assign(this.trailers, trailers);
    this.push(null);
  }

  override _read(): void {
    const bytes = this.#unread;
    if (bytes === 0) return;
    this.#unread = 0;
    this.#stream.consume(bytes);
  }
}

class CloseCode {
  readonly #stream: H2Stream;

  constructor(stream: H2Stream) {
    this.#stream = stream;
  }

  get rstCode(): number {
    return this.#stream.closeCode;
  }
}
