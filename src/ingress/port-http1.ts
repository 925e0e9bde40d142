import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type Place, Roster } from "../mesh/roster.ts";
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

const HEADER_BYTES_MAX = 32 * 1024;

/** A server without a listener of its own: the port hands it its connections. */
export function createHttp1Side(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  timeouts: PortTimeouts,
): Http1Side {
  const open = new Roster<ServerResponse>();
  let draining = false;
  const server = createServer({
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: Math.min(timeouts.headersMs, timeouts.requestMs),
    requestTimeout: timeouts.requestMs,
    keepAliveTimeout: timeouts.idleMs,
    connectionsCheckingInterval: Math.max(20, Math.min(timeouts.headersMs / 4, 5_000)),
    requireHostHeader: false,
  });
  const closed = (place: Place<ServerResponse>) => {
    open.leave(place);
    // An answer whose headers had gone out before the drain could not say `Connection: close`.
    if (draining) setImmediate(() => server.closeIdleConnections());
  };
  server.on("request", (request, response) => {
    const place = open.add(response);
    response.on("close", () => closed(place));
    if (draining) response.shouldKeepAlive = false;
    if (request.httpVersionMinor > 0 && countHosts(request.rawHeaders) !== 1) {
      refuseHost(response);
      return;
    }
    handler(request, response);
  });
  server.on("clientError", answerClientError);
  // What starts the check of headersTimeout and requestTimeout; without it a slow client may hold a
  // connection for ever.
  server.emit("listening");
  return {
    accept: (socket) => server.emit("connection", socket),
    drain: () => {
      draining = true;
      for (const response of open) response.shouldKeepAlive = false;
      server.closeIdleConnections();
    },
    close: () => server.close(),
    closeIdle: () => server.closeIdleConnections(),
    openRequests: () => open.size,
  };
}

/** Two Host headers let two readers of one request disagree about where it goes. */
function countHosts(rawHeaders: readonly string[]): number {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length === 4 && name.toLowerCase() === "host") count += 1;
  }
  return count;
}

function refuseHost(response: ServerResponse): void {
  const body = writeErrorBody("An HTTP/1.1 request needs exactly one Host header. Send one.");
  response.writeHead(400, [
    "content-type",
    "application/json",
    "content-length",
    String(body.length),
    "connection",
    "close",
  ]);
  response.end(body);
}

interface Refusal {
  readonly line: string;
  readonly message: string;
}

const refusals: ReadonlyMap<string, Refusal> = new Map([
  [
    "HPE_HEADER_OVERFLOW",
    {
      line: "431 Request Header Fields Too Large",
      message: `The request's headers are larger than ${HEADER_BYTES_MAX} bytes. Send fewer.`,
    },
  ],
  [
    "HPE_CHUNK_EXTENSIONS_OVERFLOW",
    {
      line: "413 Content Too Large",
      message: "The request's chunk extensions are too large. Send none.",
    },
  ],
  [
    "ERR_HTTP_REQUEST_TIMEOUT",
    {
      line: "408 Request Timeout",
      message: "The request did not arrive in time. Send it faster.",
    },
  ],
]);

const malformed: Refusal = {
  line: "400 Bad Request",
  message: "This is no well-formed HTTP/1.1 request. Mend the client.",
};

/**
 * Answers what the parser could not read, unless an answer is on its way already; then nothing may
 * be mixed into it.
 */
function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable || hasAnswerBegun(socket)) {
    socket.destroy();
    return;
  }
  const refusal = refusals.get(error.code ?? "") ?? malformed;
  const body = writeErrorBody(refusal.message);
  const head =
    `HTTP/1.1 ${refusal.line}\r\nconnection: close\r\ncontent-type: application/json\r\n` +
    `content-length: ${body.length}\r\n\r\n`;
  socket.end(head + body);
  // Whatever else it sends is not read, so the peer cannot hold the connection open by sending on.
  socket.destroySoon();
}

/** Node keeps the answer in progress on the socket, under a name that its types do not have. */
function hasAnswerBegun(socket: Socket): boolean {
  if (!("_httpMessage" in socket)) return false;
  const message = socket._httpMessage;
  if (typeof message !== "object" || message === null) return false;
  return "headersSent" in message && message.headersSent === true;
}

/** All text in it is ASCII, so its length is its bytes. */
function writeErrorBody(message: string): string {
  const error = { message, type: "invalid_request_error", param: null, code: "INVALID_REQUEST" };
  return JSON.stringify({ error });
}
