import { type ErrorReason, MeshError } from "../../mesh/errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import type { UpstreamHeaders } from "../../mesh/upstream.ts";

/** Most characters of a vendor's body that are kept for the log. */
const INTERNAL_LENGTH_MAX = 2000;

/**
 * An error as Anthropic's error object. A vendor's own type is kept where it is one of Anthropic's
 * and speaks of the request or of load, never where it speaks of Weir's own credential.
 */
export function writeError(error: MeshError, requestId: string): JsonObject {
  const { details, reason, row } = error;
  const told = details.upstream?.dialect === "anthropic" ? details.upstream.type : "";
  const keepsType = tellableReasons.has(reason) && statuses.has(told);
  const body: Record<string, JsonValue> = {
    type: keepsType ? told : row.anthropic,
    message: error.message,
  };
  if (details.field !== undefined) body.param = details.field;
  body.metadata = { reason, ...details.metadata };
  return { type: "error", error: body, request_id: requestId };
}

/**
 * A body that is no 2xx as an error. The vendor's message is shown only where it speaks of the
 * caller's request; all else is for those who run Weir.
 */
export function readError(status: number, headers: UpstreamHeaders, body: Buffer): MeshError {
  const told = parseErrorBody(body);
  const reason = findReason(status, told);
  const tells = requestFaults.has(reason) && status !== 404 && told.message !== "";
  const text = told.message || body.toString("utf8", 0, INTERNAL_LENGTH_MAX);
  const retryAfterMs = readRetryAfter(headers);
  return new MeshError(reason, tells ? told.message : neutralTexts[reason], {
    upstream: { status, type: told.type, code: "", param: "", dialect: "anthropic" },
    internal: `upstream said ${status} ${told.type}: ${text}`.slice(0, INTERNAL_LENGTH_MAX),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

/**
 * The `error` event of a stream as an error: the same table, by type, since the status was a good
 * one.
 */
export function readErrorEvent(event: JsonObject): MeshError {
  const { type } = parseError(event);
  return readError(statuses.get(type) ?? 500, {}, Buffer.from(JSON.stringify(event)));
}

interface VendorError {
  readonly type: string;
  readonly message: string;
}

type UpstreamReason = Extract<
  ErrorReason,
  `UPSTREAM_${string}` | "CONTEXT_TOO_LONG" | "CONTENT_BLOCKED"
>;

const requestFaults: ReadonlySet<UpstreamReason> = new Set<UpstreamReason>([
  "UPSTREAM_REFUSED",
  "CONTEXT_TOO_LONG",
  "CONTENT_BLOCKED",
]);

const neutralTexts: Record<UpstreamReason, string> = {
  UPSTREAM_REFUSED: "The upstream refused the request. Ask whoever runs Weir about this model.",
  UPSTREAM_FAILED: "The upstream failed. Try again.",
  UPSTREAM_GARBLED: "The upstream's answer made no sense. Try again.",
  UPSTREAM_TIMEOUT: "The upstream took too long. Try again.",
  UPSTREAM_RATE_LIMITED: "The upstream has too many requests. Try again later.",
  UPSTREAM_CREDENTIAL: "The upstream refused Weir's credential. Tell whoever runs Weir.",
  CONTEXT_TOO_LONG: "The request is longer than the model's context. Shorten it.",
  CONTENT_BLOCKED: "The vendor blocked the content. Change the request.",
};

/** Types that Anthropic gives its errors, and the status that each comes with. */
const statuses = new Map<string, number>([
  ["invalid_request_error", 400],
  ["authentication_error", 401],
  ["billing_error", 402],
  ["permission_error", 403],
  ["not_found_error", 404],
  ["request_too_large", 413],
  ["rate_limit_error", 429],
  ["api_error", 500],
  ["timeout_error", 504],
  ["overloaded_error", 529],
]);

const tellableReasons: ReadonlySet<ErrorReason> = new Set<ErrorReason>([
  "UPSTREAM_REFUSED",
  "UPSTREAM_FAILED",
  "UPSTREAM_RATE_LIMITED",
  "CONTEXT_TOO_LONG",
  "CONTENT_BLOCKED",
]);

const BLOCKED = /blocked by (the )?content filter/i;
const TOO_LONG = /prompt is too long|exceeds? (the )?(maximum )?context|context (limit|window)/i;
/** Said with status 400, but no fault of the caller's. */
const OUT_OF_CREDIT = /credit balance is too low|usage limits/i;

function findReason(status: number, told: VendorError): UpstreamReason {
  if (status === 429 || told.type === "rate_limit_error") return "UPSTREAM_RATE_LIMITED";
  if (status === 401 || status === 402 || status === 403) return "UPSTREAM_CREDENTIAL";
  if (status === 408 || status === 504) return "UPSTREAM_TIMEOUT";
  if (status >= 500 || told.type === "overloaded_error") return "UPSTREAM_FAILED";
  if (status < 400) return "UPSTREAM_GARBLED";
  if (OUT_OF_CREDIT.test(told.message)) return "UPSTREAM_CREDENTIAL";
  if (BLOCKED.test(told.message)) return "CONTENT_BLOCKED";
  return TOO_LONG.test(told.message) ? "CONTEXT_TOO_LONG" : "UPSTREAM_REFUSED";
}

function parseErrorBody(body: Buffer): VendorError {
  try {
    return parseError(JSON.parse(body.toString("utf8")));
  } catch {
    return { type: "", message: "" };
  }
}

/** Servers that only resemble Anthropic's may say the error as a string. */
function parseError(value: unknown): VendorError {
  const error = isJsonObject(value) ? value.error : undefined;
  if (typeof error === "string") return { type: "", message: error };
  if (!isJsonObject(error)) return { type: "", message: "" };
  const { type, message } = error;
  return {
    type: typeof type === "string" ? type : "",
    message: typeof message === "string" ? message : "",
  };
}

/**
 * When to come back, in milliseconds: `retry-after` in seconds or as a date, else the latest reset
 * of a limit of which nothing remains. Dates are taken against the answer's own `date`, so that
 * clocks need not agree.
 */
function readRetryAfter(headers: UpstreamHeaders): number | undefined {
  const now = Date.parse(headerOf(headers, "date"));
  const retryAfter = headerOf(headers, "retry-after");
  const seconds = Number(retryAfter);
  if (retryAfter !== "" && seconds >= 0) return Math.ceil(seconds * 1000);
  const until = Date.parse(retryAfter) - now;
  if (until >= 0) return until;
  let latest: number | undefined;
  for (const limit of ["requests", "tokens", "input-tokens", "output-tokens"]) {
    if (headerOf(headers, `anthropic-ratelimit-${limit}-remaining`) !== "0") continue;
    const wait = Date.parse(headerOf(headers, `anthropic-ratelimit-${limit}-reset`)) - now;
    if (wait >= 0) latest = Math.max(latest ?? 0, wait);
  }
  return latest;
}

function headerOf(headers: UpstreamHeaders, name: string): string {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? "";
}
