import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { createId } from "../../mesh/random.ts";
import type { H2Stream, StreamReceiver } from "../h2/h2-stream.ts";
import type { RelayOptions, RelayTarget } from "./admin-relay.ts";
import { createUnreachableError, isHopByHop } from "./relay-headers.ts";
import { createRpcErrorAnswer } from "./rpc-error.ts";

const CONNECT_TIMEOUT_MS = 5_000;
/**
 * How often a connection is asked whether its other end is alive, and how long that may take to
 * answer.
 */
const PING_INTERVAL_MS = 30_000;
const PING_TIMEOUT_MS = 10_000;

/**
 * Relays over one HTTP/2 connection, which is opened when it is needed and opened anew when it
 * breaks.
 */
export function createHttp2Relay(options: RelayOptions): {
  relay(stream: H2Stream, headers: IncomingHttpHeaders): void;
  close(): void;
} {
  const link = new SessionKeeper(options);
  return {
    relay: (stream, headers) => {
      const session = link.session();
      if (session === undefined) refuse(stream, headers);
      else relay(session, stream, headers);
    },
    close: () => link.close(),
  };
}

/** Passes one stream on, both ways. */
function relay(session: ClientHttp2Session, stream: H2Stream, headers: IncomingHttpHeaders): void {
  try {
    const onward = session.request(listRequestHeaders(headers), { endStream: stream.requestEnded });
    stream.receiver = new RelayedStream(stream, headers, onward);
  } catch (thrown) {
    // The connection broke just now; the next request opens another.
    refuse(stream, headers, thrown);
  }
}

/** A stream whose bytes go to the control process, and whose answer comes from there. */
class RelayedStream implements StreamReceiver {
  readonly #stream: H2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #onward: ClientHttp2Stream;
  /** Bytes that the control process has not taken. */
  #behind = 0;
  #trailers: string[] | undefined;

  constructor(stream: H2Stream, headers: IncomingHttpHeaders, onward: ClientHttp2Stream) {
    this.#stream = stream;
    this.#headers = headers;
    this.#onward = onward;
    onward.on("response", (fields, flags) => {
      const ended = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      stream.respond(listAnswerFields(fields), ended);
      if (ended) onward.resume();
    });
    onward.on("trailers", (fields) => {
      this.#trailers = listAnswerFields(fields);
    });
    onward.on("data", (bytes: Buffer) => {
      if (!stream.write(bytes) && !stream.closed) onward.pause();
    });
    onward.on("end", () => {
      if (stream.headersSent && onward.rstCode === 0) stream.end(undefined, this.#trailers);
    });
    onward.on("drain", () => this.#caughtUp());
    onward.on("error", (error) => this.#break(constants.NGHTTP2_INTERNAL_ERROR, error));
    onward.on("close", () => this.#break(onward.rstCode || constants.NGHTTP2_CANCEL));
  }

  takeData(bytes: Buffer): boolean {
    if (this.#onward.destroyed || this.#onward.write(bytes)) return true;
    this.#behind += bytes.length;
    return false;
  }

  takeEnd(): void {
    this.#onward.end();
  }

  takeDrain(): void {
    this.#onward.resume();
  }

  takeClose(code: number): void {
    if (!this.#onward.closed) this.#onward.close(code || constants.NGHTTP2_CANCEL);
  }

  #caughtUp(): void {
    const bytes = this.#behind;
    this.#behind = 0;
    this.#stream.consume(bytes);
  }

  #break(code: number, error?: unknown): void {
    this.#caughtUp();
    if (!this.#stream.headersSent) refuse(this.#stream, this.#headers, error);
    else if (!this.#stream.answerEnded) this.#stream.reset(code);
  }
}

/** Holds the one connection. */
class SessionKeeper {
  readonly #options: RelayOptions;
  #session: ClientHttp2Session | undefined;
  #target: RelayTarget | undefined;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  /** The connection, opened if need be; undefined while no control process is known. */
  session(): ClientHttp2Session | undefined {
    const target = this.#options.target();
    if (target === undefined) return undefined;
    const moved = target.host !== this.#target?.host || target.port !== this.#target.port;
    const session = this.#session;
    if (session !== undefined && !moved && !session.closed && !session.destroyed) return session;
    if (moved) session?.close();
    this.#target = target;
    this.#session = this.#open(target);
    return this.#session;
  }

  close(): void {
    this.#session?.close();
    this.#session = undefined;
  }

  #open(target: RelayTarget): ClientHttp2Session {
    const host = target.host.includes(":") ? `[${target.host}]` : target.host;
    const scheme = target.ca === undefined ? "http" : "https";
    const session = connect(`${scheme}://${host}:${target.port}`, {
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES },
      ...(target.ca === undefined ? {} : { ca: target.ca }),
    });
    const { clock } = this.#options;
    const connecting = clock.after(CONNECT_TIMEOUT_MS, () => session.destroy(createLateError()));
    const pinging = clock.every(PING_INTERVAL_MS, () => {
      if (session.destroyed || session.connecting) return;
      const waiting = clock.after(PING_TIMEOUT_MS, () => session.destroy(createLateError()));
      session.ping(() => waiting.cancel());
    });
    session.on("connect", () => {
      connecting.cancel();
      // An idle connection to control must not keep the process alive.
      session.unref();
    });
    session.on("error", ignore);
    session.on("goaway", () => this.#forget(session));
    session.on("close", () => {
      connecting.cancel();
      pinging.cancel();
      this.#forget(session);
    });
    return session;
  }

  #forget(session: ClientHttp2Session): void {
    if (this.#session === session) this.#session = undefined;
  }
}

const STREAM_WINDOW_BYTES = 1024 * 1024;

/** `te: trailers` is the one field of its kind that HTTP/2 knows, and gRPC servers insist on it. */
function listRequestHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const kept: OutgoingHttpHeaders = {};
  for (const name in headers) {
    if (!isHopByHop(name, undefined)) kept[name] = headers[name];
  }
  if (headers.te === "trailers") kept.te = "trailers";
  return kept;
}

function listAnswerFields(headers: IncomingHttpHeaders): string[] {
  const fields: string[] = [];
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || isHopByHop(name, undefined)) continue;
    if (typeof value === "object") for (const each of value) fields.push(name, each);
    // `:status` is a number here, whatever its type says.
    else fields.push(name, String(value));
  }
  return fields;
}

function refuse(stream: H2Stream, headers: IncomingHttpHeaders, cause?: unknown): void {
  const error = createUnreachableError(cause);
  const answer = createRpcErrorAnswer(headers["content-type"], error, createId("req_"));
  const fields = Object.entries(answer.headers).flat();
  stream.respond([":status", String(answer.status), ...fields], answer.body === undefined);
  stream.end(answer.body);
}

function createLateError(): Error {
  return new Error("the control process did not answer in time");
}

function ignore(): void {}
