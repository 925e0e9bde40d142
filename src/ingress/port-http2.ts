import type { IncomingHttpHeaders } from "node:http2";
import type { Socket } from "node:net";
import type { Clock } from "../mesh/clock.ts";
import { H2Connection } from "./h2/connection.ts";
import { FlushRound } from "./h2/flush-round.ts";
import type { H2Stream } from "./h2/h2-stream.ts";
import { KeptConnections } from "./kept-connections.ts";
import type { PortTimeouts } from "./port.ts";

/** The HTTP/2 half of a port. */
export interface Http2Side {
  accept(socket: Socket): void;
  /** Says GOAWAY on each connection and closes it with its last stream. */
  drain(): void;
  close(): void;
  openStreams(): number;
}

/** What a port serves over HTTP/2, and how. */
export interface Http2Options {
  serve(stream: H2Stream, headers: IncomingHttpHeaders): void;
  failed(error: unknown): void;
  readonly timeouts: PortTimeouts;
  readonly clock: Clock;
}

/** Has no listener of its own: the port hands it its connections. */
export function createHttp2Side({ serve, failed, timeouts, clock }: Http2Options): Http2Side {
  const home = {
    clock,
    round: new FlushRound(),
    limits: {
      firstByteMs: timeouts.firstByteMs,
      headersMs: timeouts.headersMs,
      stallMs: timeouts.requestMs,
      idleMs: timeouts.sessionIdleMs,
    },
    serve,
    failed,
  };
  const sweepMs = Math.max(20, Math.min(...Object.values(home.limits), 20_000) / 4);
  const connections = new KeptConnections<H2Connection>(clock, sweepMs);
  let draining = false;
  return {
    accept: (socket) => {
      const connection = new H2Connection(socket, home);
      connections.add(socket, connection);
      if (draining) connection.drain();
    },
    drain: () => {
      draining = true;
      connections.drain();
    },
    close: () => connections.destroy(),
    openStreams: () => {
      let count = 0;
      for (const connection of connections) count += connection.streams.size;
      return count;
    },
  };
}
