import { asMeshError, type MeshError } from "../../mesh/errors.ts";
import type { JsonObject } from "../../mesh/json.ts";
import type { Exchange } from "./exchange.ts";
import { createHead } from "./response-head.ts";

/** Seconds to wait when nobody knows better. */
const RETRY_AFTER_S = 1;
/** The system writes strings of this length without memory of its own. */
const LETTERS_MAX = 12 * 1024;
/** How long a refused body is still read, so that its sender sees the answer and not a reset. */
const LINGER_MS = 2_000;

/** Sends a whole answer: one write for headers and body. */
export function answerBytes(
  exchange: Exchange,
  status: number,
  head: string[],
  body: Buffer | string,
): void {
  const bytes = typeof body === "string" ? Buffer.byteLength(body) : body.length;
  head.push("content-length", String(bytes));
  const { response } = exchange;
  if (response.destroyed) return;
  response.writeHead(status, head);
  // As letters: node makes one string of headers and body, which is cheaper than a list of both.
  if (typeof body === "string" || bytes > LETTERS_MAX) response.end(body);
  else response.end(body.toString("latin1"), "latin1");
}

/** Sends a JSON value that is no model's answer. */
export function answerJson(exchange: Exchange, status: number, json: JsonObject): void {
  answerBytes(exchange, status, createHead(exchange, "application/json"), JSON.stringify(json));
}

/** Sends an error in the route's dialect. Nothing may have been sent before. */
export function answerError(exchange: Exchange, thrown: unknown, headers: string[] = []): void {
  const error = asMeshError(thrown);
  const { house, options, response, call } = exchange;
  if (!exchange.journeyBegun) {
    house.refused(error.reason);
    if (error.reason === "INTERNAL") options.failed(error, call.requestId);
  }
  if (response.destroyed || response.writableEnded) return;
  const status = error.row.http;
  const head = createHead(exchange, "application/json", call.trail.decision);
  head.push(...headers);
  if (status === 401) head.push("www-authenticate", 'Bearer realm="weir"');
  pushRetryAdvice(head, error);
  const dialect = exchange.route.errors(exchange.request) === "anthropic" ? "anthropic" : "openai";
  const json = house[dialect].client.writeError(error, call.requestId);
  answerRefusal(exchange, status, head, JSON.stringify(json));
}

/** Seconds from now that a caller shall wait, at least one. */
export function retryAfterSeconds(error: MeshError): number {
  const ms = error.details.retryAfterMs;
  return ms === undefined ? RETRY_AFTER_S : Math.max(1, Math.ceil(ms / 1000));
}

function pushRetryAdvice(head: string[], error: MeshError): void {
  const { http, retryable } = error.row;
  if (http === 429 || http === 503 || error.details.retryAfterMs !== undefined) {
    head.push("retry-after", String(retryAfterSeconds(error)));
  }
  // The vendors' clients repeat each 409, 429 and 5xx by themselves unless they are told not to.
  if (!retryable && (http >= 500 || http === 429 || http === 409)) {
    head.push("x-should-retry", "false");
  }
}

/**
 * An answer to a request whose body may still be on its way. The connection is of no use
 * afterwards; but closing it with bytes unread makes the system send a reset, which overtakes the
 * answer. So the rest is read and thrown away for a while.
 */
function answerRefusal(exchange: Exchange, status: number, head: string[], body: string): void {
  const { request, response, house } = exchange;
  if (!isBodyPending(exchange)) {
    answerBytes(exchange, status, head, body);
    return;
  }
  if (request.httpVersionMajor === 1) head.push("connection", "close");
  head.push("content-length", String(Buffer.byteLength(body)));
  response.writeHead(status, head);
  response.write(body);
  const finish = () => {
    timer.cancel();
    request.removeListener("end", finish);
    request.removeListener("close", finish);
    response.end();
  };
  const timer = house.clock.after(LINGER_MS, finish);
  request.on("end", finish);
  request.on("close", finish);
  request.resume();
}

/** Small bodies are on their way in the same packet and cost nothing to read. */
const SMALL_BODY_BYTES = 65_536;

function isBodyPending(exchange: Exchange): boolean {
  const { request } = exchange;
  if (request.readableEnded || request.destroyed) return false;
  const { headers } = request;
  if (headers["transfer-encoding"] !== undefined) return true;
  const declared = headers["content-length"];
  if (declared !== undefined) return Number(declared) > SMALL_BODY_BYTES;
  return request.httpVersionMajor > 1 && request.method === "POST";
}
