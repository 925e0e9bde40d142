import { cors } from "@connectrpc/connect";
import { limitFieldNames } from "../limit-fields.ts";
import type { RpcRequest, RpcResponse } from "./connect-door.ts";

/** Fields of Weir's own that scripts may read. */
const exposedHeaders = [
  ...cors.exposedHeaders,
  "x-request-id",
  "x-weir-target",
  "x-weir-attempts",
  "x-weir-cache",
  "x-weir-cost-usd",
  "x-weir-overhead-us",
  "x-weir-policy-revision",
  "x-weir-warnings",
  "retry-after",
  ...limitFieldNames,
].join(", ");

const allowedHeaders = [...cors.allowedHeaders, "authorization", "x-api-key"].join(", ");
const allowedMethods = cors.allowedMethods.join(", ");
const MAX_AGE_S = "7200";

/**
 * Lets the scripts of some origins call RPCs. Returns true when the request was a preflight, which
 * is then answered. `*` among the origins means all of them; keys travel in header fields that
 * scripts set themselves, so cookies are never allowed.
 */
export function answerCors(
  origins: ReadonlySet<string>,
  request: RpcRequest,
  response: RpcResponse,
): boolean {
  const { origin } = request.headers;
  if (origin === undefined) return false;
  const preflight =
    request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
  const allowed = origins.has(origin) || origins.has("*");
  response.setHeader("vary", "origin");
  if (allowed) {
    response.setHeader("access-control-allow-origin", origin);
    response.setHeader("access-control-expose-headers", exposedHeaders);
  }
  if (!preflight) return false;
  if (allowed) {
    response.setHeader("access-control-allow-methods", allowedMethods);
    response.setHeader("access-control-allow-headers", allowedHeaders);
    response.setHeader("access-control-max-age", MAX_AGE_S);
  }
  response.statusCode = allowed ? 204 : 403;
  response.end();
  return true;
}
