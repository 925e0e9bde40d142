import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { createId } from "../../mesh/random.ts";
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
  relay(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void;
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
function relay(
  session: ClientHttp2Session,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): void {
  let onward: ClientHttp2Stream;
  try {
    onward = session.request(listRequestHeaders(headers), { endStream: stream.readableEnded });
  } catch (thrown) {
    // The connection broke just now; the next request opens another.
    refuse(stream, headers, thrown);
    return;
  }
  let trailers: OutgoingHttpHeaders = {};
  onward.on("response", (fields, flags) => {
    if (stream.closed || stream.destroyed) return;
    const ended = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    stream.respond(listAnswerHeaders(fields), ended ? { endStream: true } : WAIT_FOR_TRAILERS);
    if (ended) onward.resume();
    else onward.pipe(stream);
  });
  onward.on("trailers", (fields) => {
    trailers = listAnswerHeaders(fields);
  });
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
  onward.on("error", (error) => {
    if (!stream.headersSent) refuse(stream, headers, error);
    else if (!stream.writableFinished) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  });
  onward.on("close", () => {
    if (stream.closed) return;
    if (!stream.headersSent) refuse(stream, headers);
    else if (!stream.writableEnded) stream.close(onward.rstCode || constants.NGHTTP2_CANCEL);
  });
  stream.on("close", () => {
    if (!onward.closed) onward.close(stream.rstCode || constants.NGHTTP2_CANCEL);
  });
  stream.pipe(onward);
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
const WAIT_FOR_TRAILERS = { waitForTrailers: true };

/** `te: trailers` is the one field of its kind that HTTP/2 knows, and gRPC servers insist on it. */
function listRequestHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const kept: OutgoingHttpHeaders = {};
  for (const name in headers) {
    if (!isHopByHop(name, undefined)) kept[name] = headers[name];
  }
  if (headers.te === "trailers") kept.te = "trailers";
  return kept;
}

function listAnswerHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const kept: OutgoingHttpHeaders = {};
  for (const name in headers) {
    if (!isHopByHop(name, undefined)) kept[name] = headers[name];
  }
  return kept;
}

function refuse(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, cause?: unknown): void {
  if (stream.closed || stream.destroyed || stream.headersSent) return;
  const error = createUnreachableError(cause);
  const answer = createRpcErrorAnswer(headers["content-type"], error, createId("req_"));
  const fields = { ":status": answer.status, ...answer.headers };
  if (answer.body === undefined) stream.respond(fields, { endStream: true });
  else {
    stream.respond(fields);
    stream.end(answer.body);
  }
  // To its end: a reset right behind the answer would make nghttp2 drop the answer.
  stream.resume();
}

function createLateError(): Error {
  return new Error("the control process did not answer in time");
}

function ignore(): void {}
