import type { Socket } from "node:net";
import type { Clock } from "../mesh/clock.ts";
import { type ConnectionHome, H1Connection } from "./h1/connection.ts";
import type { HttpExchange } from "./http-exchange.ts";
import { KeptConnections } from "./kept-connections.ts";
import type { PortTimeouts } from "./port.ts";

/** The HTTP/1.1 half of a port. */
export interface Http1Side {
  accept(socket: Socket): void;
  /** From now on each connection closes with its answer. */
  drain(): void;
  close(): void;
  /** Closes connections that are between two requests. */
  closeIdle(): void;
  openRequests(): number;
}

/** What a port serves over HTTP/1.1, and how. */
export interface Http1Options {
  /** Called for each request. It sets the receiver before it returns. */
  serve(exchange: HttpExchange): void;
  /** Told of what was thrown behind the port, which costs its connection. */
  failed(error: unknown): void;
  readonly timeouts: PortTimeouts;
  readonly clock: Clock;
}

/** Serves no listener of its own: the port hands it its connections. */
export function createHttp1Side({ serve, failed, timeouts, clock }: Http1Options): Http1Side {
  const { headersMs, requestMs, idleMs } = timeouts;
  const seconds = Math.max(1, Math.floor(idleMs / 1000));
  const home: ConnectionHome = {
    clock,
    limits: { headersMs, requestMs, idleMs: idleMs + Math.min(idleMs, IDLE_GRACE_MS) },
    keepAliveText: `connection: keep-alive\r\nkeep-alive: timeout=${seconds}\r\n\r\n`,
    open: 0,
    draining: false,
    serve,
    failed,
  };
  const sweepMs = Math.max(20, Math.min(headersMs, requestMs, idleMs, 4_000) / 4);
  const connections = new KeptConnections<H1Connection>(clock, sweepMs);
  return {
    accept: (socket) => connections.add(socket, new H1Connection(socket, home)),
    drain: () => {
      home.draining = true;
      connections.drain();
    },
    close: () => connections.destroy(),
    // Each that is idle closes when it is told to drain; the others only would with their answer.
    closeIdle: () => connections.drain(),
    openRequests: () => home.open,
  };
}

/** So that a client that counts from its own last byte is not the later one. */
const IDLE_GRACE_MS = 1_000;
