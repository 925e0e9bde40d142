import type { IncomingHttpHeaders } from "node:http2";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { Clock } from "../mesh/clock.ts";
import { Roster } from "../mesh/roster.ts";
import type { H2Stream } from "./h2/h2-stream.ts";
import type { HttpExchange } from "./http-exchange.ts";
import { createHttp1Side, type Http1Side } from "./port-http1.ts";
import { createHttp2Side, type Http2Side } from "./port-http2.ts";

/** What a port serves, and how patient it is. */
export interface PortOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Lets several processes listen on the same port; the kernel shares the connections out. */
  readonly reusePort: boolean;
  /** With a certificate the port speaks TLS only, and ALPN chooses the protocol. */
  readonly tls?: PortCertificate;
  /** Called for each HTTP/1.1 request. It sets the receiver before it returns. */
  http1(exchange: HttpExchange): void;
  /** Called for each HTTP/2 stream. It sets the receiver before it returns. */
  http2(stream: H2Stream, headers: IncomingHttpHeaders): void;
  /** Told of what a handler of HTTP/2 has thrown, which costs the connection. */
  failed?(error: unknown): void;
  readonly clock: Clock;
  readonly timeouts?: Partial<PortTimeouts>;
  /**
   * Connections that are open at once. Who takes the last place has idle ones closed, for the next
   * to find room; who comes when all are busy is closed at once. Undefined means as many as the
   * system's descriptors allow.
   */
  readonly maxConnections?: number;
}

/** A certificate and its key, in PEM. */
export interface PortCertificate {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

/** How long a peer may keep the port waiting. */
export interface PortTimeouts {
  /** For the first bytes of a connection, TLS handshake included. */
  readonly firstByteMs: number;
  /** For the headers of an HTTP/1.1 request. */
  readonly headersMs: number;
  /** For a whole HTTP/1.1 request, its body included. */
  readonly requestMs: number;
  /** How long an HTTP/1.1 connection is kept between two requests. */
  readonly idleMs: number;
  /** How long an HTTP/2 connection is kept without a byte and without a stream. */
  readonly sessionIdleMs: number;
}

/** A listening port. */
export interface Port {
  readonly host: string;
  /** The port that was taken. */
  readonly port: number;
  /**
   * Accepts no more connections, says GOAWAY on HTTP/2 and `Connection: close` on HTTP/1.1, and
   * resolves when all that was accepted is finished; what is left after `graceMs` is cut off.
   */
  drain(graceMs: number): Promise<void>;
  /** Cuts everything off at once. */
  close(): void;
  /** Requests and streams that are being served now. */
  openStreams(): number;
  connections(): ConnectionCounts;
}

/** What a port has done with connections. */
export interface ConnectionCounts {
  readonly open: number;
  /** Closed as they came, because all places were taken. */
  readonly refused: number;
  /** Times that all idle ones were closed, to make room. */
  readonly sheds: number;
}

/** Who has said nothing for so long is idle; one that has just come may be about to speak. */
const SILENT_MS = 1_000;
/** To look for idle ones is work that a flood of connections must not multiply. */
const SHED_PAUSE_MS = 1_000;

const defaultTimeouts: PortTimeouts = {
  firstByteMs: 10_000,
  headersMs: 30_000,
  requestMs: 300_000,
  idleMs: 75_000,
  sessionIdleMs: 1_800_000,
};

/**
 * Opens the one port: HTTP/1.1 and HTTP/2 on the same listener, told apart by the first bytes.
 * Rejects with the system's error when it cannot listen.
 */
export async function openPort(options: PortOptions): Promise<Port> {
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  const listener = new PortListener(options, timeouts);
  await listener.listen();
  return listener;
}

/** The first bytes of the HTTP/2 preface; no HTTP/1.1 method begins like this. */
const PREFACE = Buffer.from("PRI");

/** A connection that has not said what it speaks. */
interface Undecided {
  readonly socket: Socket;
  readonly sinceMs: number;
}

class PortListener implements Port {
  readonly host: string;
  readonly #options: PortOptions;
  readonly #timeouts: PortTimeouts;
  readonly #server: Server;
  readonly #http1: Http1Side;
  readonly #http2: Http2Side;
  /** Every open connection, so that none outlives the port; `maxConnections` of them. */
  readonly #sockets = new Roster<Socket>();
  /** Those that have not said what they speak. */
  readonly #undecided = new Roster<Undecided>();
  #port: number;
  #refused = 0;
  #sheds = 0;
  #shedMs = Number.NEGATIVE_INFINITY;
  #draining = false;
  #whenEmpty: (() => void) | undefined;

  constructor(options: PortOptions, timeouts: PortTimeouts) {
    this.host = options.host;
    this.#options = options;
    this.#port = options.port;
    this.#timeouts = timeouts;
    this.#http1 = createHttp1Side({
      serve: options.http1,
      failed: options.failed ?? ignore,
      timeouts,
      clock: options.clock,
    });
    this.#http2 = createHttp2Side({
      serve: options.http2,
      failed: options.failed ?? ignore,
      timeouts,
      clock: options.clock,
    });
    this.#server = this.#createServer();
    if (options.maxConnections === undefined) return;
    this.#server.maxConnections = options.maxConnections;
    this.#server.on("drop", () => {
      this.#refused += 1;
      this.#shedIdle();
    });
  }

  get port(): number {
    return this.#port;
  }

  openStreams(): number {
    return this.#http1.openRequests() + this.#http2.openStreams();
  }

  connections(): ConnectionCounts {
    return { open: this.#sockets.size, refused: this.#refused, sheds: this.#sheds };
  }

  listen(): Promise<void> {
    const { host, port, reusePort } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port, reusePort, backlog: 1024 }, () => {
        this.#server.removeListener("error", reject);
        // Accepting may fail for want of descriptors: the connection is lost, the port goes on.
        this.#server.on("error", ignore);
        const address = this.#server.address();
        if (typeof address === "object" && address !== null) this.#port = address.port;
        resolve();
      });
    });
  }

  async drain(graceMs: number): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    this.#server.close();
    for (const { socket } of this.#undecided) socket.destroy();
    this.#http1.drain();
    this.#http2.drain();
    if (this.#sockets.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.#options.clock.after(graceMs, resolve);
        this.#whenEmpty = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    this.close();
  }

  close(): void {
    this.#draining = true;
    this.#server.close();
    this.#http1.close();
    this.#http2.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #createServer(): Server {
    const track = (socket: Socket) => this.#track(socket);
    const sniff = (socket: Socket) => this.#sniff(socket);
    const socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 };
    const { tls } = this.#options;
    if (tls === undefined) {
      const server = createServer(socketOptions);
      server.on("connection", track);
      server.on("connection", sniff);
      return server;
    }
    const server = createTlsServer({
      ...socketOptions,
      cert: tls.cert,
      key: tls.key,
      minVersion: "TLSv1.2",
      ALPNProtocols: ["h2", "http/1.1"],
      handshakeTimeout: this.#timeouts.firstByteMs,
    });
    server.on("connection", track);
    // Once there is a listener, node leaves it to that to close who fails or stalls the handshake.
    server.on("tlsClientError", (_error, socket) => socket.destroy());
    server.on("secureConnection", (socket) => {
      socket.on("error", ignore);
      if (socket.alpnProtocol === "h2") this.#http2.accept(socket);
      else this.#http1.accept(socket);
    });
    return server;
  }

  #track(socket: Socket): void {
    const sockets = this.#sockets;
    const place = sockets.add(socket);
    socket.on("error", ignore);
    socket.once("close", () => {
      sockets.leave(place);
      if (sockets.size === 0) this.#whenEmpty?.();
    });
    if (this.#draining) socket.destroy();
    else if (sockets.size === this.#options.maxConnections) this.#shedIdle();
  }

  /** Those that nobody uses now make room: silent ones, and HTTP/1.1 between two requests. */
  #shedIdle(): void {
    const nowMs = this.#options.clock.now();
    if (nowMs - this.#shedMs < SHED_PAUSE_MS) return;
    this.#shedMs = nowMs;
    this.#sheds += 1;
    for (const { socket, sinceMs } of this.#undecided) {
      if (nowMs - sinceMs >= SILENT_MS) socket.destroy();
    }
    this.#http1.closeIdle();
  }

  #sniff(socket: Socket): void {
    const undecided = this.#undecided;
    const place = undecided.add({ socket, sinceMs: this.#options.clock.now() });
    const timer = this.#options.clock.after(this.#timeouts.firstByteMs, () => socket.destroy());
    const decided = () => {
      timer.cancel();
      undecided.leave(place);
      socket.removeListener("readable", look);
      socket.removeListener("close", decided);
    };
    const look = () => {
      // Exactly as many as are needed: a bare read() would take the whole buffer, and unshift()
      // would copy it back.
      const first: Buffer | null = socket.read(PREFACE.length);
      if (first === null) {
        if (socket.readableEnded) socket.destroy();
        return;
      }
      decided();
      socket.unshift(first);
      if (first.equals(PREFACE)) this.#http2.accept(socket);
      else this.#http1.accept(socket);
    };
    socket.on("readable", look);
    socket.on("close", decided);
  }
}

function ignore(): void {}
