import {
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import type { Clock } from "../mesh/clock.ts";
import type { PortTimeouts } from "./port.ts";

/** The HTTP/2 half of a port. */
export interface Http2Side {
  accept(socket: Socket): void;
  /** Says GOAWAY on each connection and closes it with its last stream. */
  drain(): void;
  close(): void;
  openStreams(): number;
}

const STREAM_WINDOW_BYTES = 1024 * 1024;
const SESSION_WINDOW_BYTES = 4 * 1024 * 1024;
/** How long a peer may take to hear of a GOAWAY before new streams are refused. */
const GOAWAY_NOTICE_MS = 1_000;
/** "Every stream that you have begun is still served", as RFC 9113, 6.8 has it. */
const STREAM_ID_MAX = 2 ** 31 - 1;

/** A server without a listener of its own: the port hands it its connections. */
export function createHttp2Side(
  handler: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  timeouts: PortTimeouts,
  clock: Clock,
): Http2Side {
  const sessions = new Set<ServerHttp2Session>();
  let openStreams = 0;
  let draining = false;
  const server = createServer({
    settings: {
      maxConcurrentStreams: 1000,
      initialWindowSize: STREAM_WINDOW_BYTES,
      maxHeaderListSize: 32 * 1024,
      enablePush: false,
    },
    // In megabytes, for all streams of one connection; a thousand streams that are behind must fit.
    maxSessionMemory: 64,
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: 100,
    // A peer that opens and resets streams faster than this loses its connection; only its own.
    streamResetBurst: 500,
    streamResetRate: 50,
  });
  const streamClosed = () => {
    openStreams -= 1;
  };
  // No `request` listener: it would build a request and a response object for each gRPC stream too.
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    openStreams += 1;
    stream.on("error", ignore);
    stream.on("close", streamClosed);
    handler(stream, headers);
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", ignore);
    session.on("close", () => sessions.delete(session));
    session.setLocalWindowSize(SESSION_WINDOW_BYTES);
    // Three bytes make a connection HTTP/2; who says no more must not keep it for half an hour.
    const silence = clock.after(timeouts.firstByteMs, () => session.destroy());
    session.once("remoteSettings", () => silence.cancel());
    session.once("close", () => silence.cancel());
    session.setTimeout(timeouts.sessionIdleMs, () => session.close());
    if (draining) session.close();
  });
  server.on("sessionError", ignore);
  return {
    accept: (socket) => server.emit("connection", socket),
    drain: () => {
      draining = true;
      for (const session of sessions) sayGoaway(session, clock);
    },
    close: () => {
      for (const session of sessions) session.destroy();
    },
    openStreams: () => openStreams,
  };
}

/**
 * In two steps, so that nothing that a peer sent before it could know is refused: first a GOAWAY
 * that still takes every stream, then, once a ping has come back, the one that takes no more.
 */
function sayGoaway(session: ServerHttp2Session, clock: Clock): void {
  if (session.destroyed || session.closed) return;
  const timer = clock.after(GOAWAY_NOTICE_MS, () => session.close());
  session.goaway(0, STREAM_ID_MAX);
  session.ping(() => {
    timer.cancel();
    if (!session.destroyed) session.close();
  });
}

function ignore(): void {}
