import { asMeshError, type MeshError } from "../../mesh/errors.ts";
import type { JsonObject } from "../../mesh/json.ts";
import type { Exchange } from "./exchange.ts";
import { createHead } from "./response-head.ts";

/** Seconds to wait when nobody knows better. */
const RETRY_AFTER_S = 1;

/** Sends a whole answer: one write for headers and body. */
export function answerBytes(
  exchange: Exchange,
  status: number,
  head: string[],
  body: Buffer | string,
): void {
  const bytes = typeof body === "string" ? Buffer.byteLength(body) : body.length;
  head.push("content-length", String(bytes));
  const { http } = exchange;
  http.respond(status, head);
  http.end(body);
}

/** Sends a JSON value that is no model's answer. */
export function answerJson(exchange: Exchange, status: number, json: JsonObject): void {
  answerBytes(exchange, status, createHead(exchange, "application/json"), JSON.stringify(json));
}

/** Sends an error in the route's dialect. Nothing may have been sent before. */
export function answerError(exchange: Exchange, thrown: unknown, headers: string[] = []): void {
  const error = asMeshError(thrown);
  const { house, options, http, call } = exchange;
  if (!exchange.journeyBegun) {
    house.refused(error.reason);
    if (error.reason === "INTERNAL") options.failed(error, call.requestId);
  }
  if (http.closed || http.answerEnded) return;
  const status = error.row.http;
  const head = createHead(exchange, "application/json", call.trail.decision);
  head.push(...headers);
  if (status === 401) head.push("www-authenticate", 'Bearer realm="weir"');
  pushRetryAdvice(head, error);
  const dialect = exchange.route.errors(http) === "anthropic" ? "anthropic" : "openai";
  const json = house[dialect].client.writeError(error, call.requestId);
  answerBytes(exchange, status, head, JSON.stringify(json));
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
