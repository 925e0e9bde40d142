import { type ErrorReason, MeshError, type UpstreamFault } from "../../mesh/errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import type { UpstreamHeaders } from "../../mesh/upstream.ts";
import { isJsonArray, type WireObject } from "./field.ts";
import { readRetryAfter } from "./retry-after.ts";

const MESSAGE_CHARACTERS_MAX = 4000;

/**
 * OpenAI's error object. For faults of a vendor of this dialect, its own type, code and parameter
 * are kept.
 */
export function writeError(error: MeshError, requestId: string): WireObject {
  const { reason, details, row } = error;
  const vendor = showsVendorWords(reason, details.upstream) ? details.upstream : undefined;
  return {
    error: {
      message: error.message,
      type: vendor?.type || row.openai,
      param: details.field ?? (vendor?.param || null),
      code: vendor?.code || codeOf(reason),
      metadata: { reason, request_id: requestId, ...details.metadata },
    },
  };
}

/**
 * A response that is no 2xx → error. What only those who run Weir can mend is told to them and not
 * to callers.
 */
export function readError(status: number, headers: UpstreamHeaders, body: Buffer): MeshError {
  const told = readErrorBody(body.toString("utf8", 0, 65_536));
  return createUpstreamError(status, told, readRetryAfter(headers));
}

/** An error that came inside a 200: in a stream, or as the whole answer. */
export function readErrorInside(value: JsonValue): MeshError {
  const told = readErrorValue(value);
  return createUpstreamError(told.status ?? guessStatus(told), told, undefined);
}

/** The upstream's answer makes no sense. `internal` says why, for the log. */
export function createGarbled(internal: string, cause?: unknown): MeshError {
  const message =
    "The upstream's answer made no sense. Try again; if it stays, tell who runs Weir.";
  return new MeshError("UPSTREAM_GARBLED", message, { internal, cause });
}

/** What a vendor said, in whatever form. */
interface Told {
  readonly message: string;
  readonly type: string;
  readonly code: string;
  readonly param: string;
  /** HTTP status, when the object itself names one. */
  readonly status: number | undefined;
}

function createUpstreamError(
  status: number,
  told: Told,
  retryAfterMs: number | undefined,
): MeshError {
  const reason = classify(status, told);
  const { type, code, param } = told;
  const upstream: UpstreamFault = { status, type, code, param, dialect: "openai" };
  const words = told.message.slice(0, MESSAGE_CHARACTERS_MAX);
  const neutral = neutralMessages[reason];
  const message = neutral ?? (words || `The upstream refused the request with status ${status}.`);
  return new MeshError(reason, message, {
    upstream,
    internal: `status ${status}: ${words}`,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/**
 * Texts for faults that callers can do nothing about: the vendor's words may name accounts and
 * keys.
 */
const neutralMessages: Partial<Record<ErrorReason, string>> = {
  UPSTREAM_CREDENTIAL:
    "The upstream refused Weir's own credential or account. Tell whoever runs Weir.",
  UPSTREAM_TIMEOUT: "The upstream took too long. Try again.",
  UPSTREAM_RATE_LIMITED: "The upstream is over its rate limit. Try again later.",
  UPSTREAM_FAILED: "The upstream failed. Try again.",
};

function classify(status: number, told: Told): ErrorReason {
  const words = `${told.code} ${told.type}`;
  if (status < 500 && status !== 429) {
    if (/context_length|context_window/.test(words)) return "CONTEXT_TOO_LONG";
    if (/content_filter|content_policy|moderation|ResponsibleAI/i.test(words)) {
      return "CONTENT_BLOCKED";
    }
    if (/invalid_api_key|authentication_error/.test(words)) return "UPSTREAM_CREDENTIAL";
    if ((status === 400 || status === 413) && saysTooLong(told.message)) return "CONTEXT_TOO_LONG";
    if (status === 400 && /api key not valid/i.test(told.message)) return "UPSTREAM_CREDENTIAL";
  }
  if (status === 401 || status === 402 || status === 403 || status === 407) {
    return "UPSTREAM_CREDENTIAL";
  }
  if (status === 408 || status === 504 || status === 524) return "UPSTREAM_TIMEOUT";
  if (status === 429) return "UPSTREAM_RATE_LIMITED";
  return status >= 400 && status < 500 ? "UPSTREAM_REFUSED" : "UPSTREAM_FAILED";
}

/** Engines without error codes say it in words: vLLM, llama.cpp, SGLang, Groq. */
function saysTooLong(message: string): boolean {
  return /context (length|size|window)|prompt is too long|reduce the length/i.test(message);
}

function readErrorBody(text: string): Told {
  try {
    const parsed: JsonValue = JSON.parse(text);
    return readErrorValue(isJsonArray(parsed) ? (parsed[0] ?? "") : parsed);
  } catch {
    return { message: text.trim(), type: "", code: "", param: "", status: undefined };
  }
}

function readErrorValue(value: JsonValue): Told {
  if (!isJsonObject(value)) {
    const message = typeof value === "string" ? value : JSON.stringify(value);
    return { message, type: "", code: "", param: "", status: undefined };
  }
  const inner = value.error;
  if (isJsonObject(inner)) return readErrorObject(inner);
  if (typeof inner === "string" && typeof value.message !== "string") {
    return { ...readErrorObject(value), message: inner };
  }
  return readErrorObject(value);
}

function readErrorObject(error: JsonObject): Told {
  const { code, status_code: statusCode, status, detail } = error;
  const message = readWord(error.message) || readDetail(detail);
  return {
    message,
    type: readWord(error.type),
    code: readWord(code),
    param: readWord(error.param),
    status: [statusCode, code, status].map(readStatus).find((found) => found !== undefined),
  };
}

/** FastAPI's `detail`: a text, or a list of {loc, msg}. */
function readDetail(detail: JsonValue | undefined): string {
  if (typeof detail === "string") return detail;
  return detail === undefined || detail === null ? "" : JSON.stringify(detail);
}

function readWord(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}

function readStatus(value: JsonValue | undefined): number | undefined {
  const number = typeof value === "number" ? value : Number.NaN;
  return number >= 400 && number <= 599 ? number : undefined;
}

/** For errors inside a stream, which carry no status. */
function guessStatus(told: Told): number {
  const words = `${told.code} ${told.type}`;
  if (/rate_limit|insufficient_quota|too_many/.test(words)) return 429;
  if (/authentication|invalid_api_key|permission/.test(words)) return 401;
  if (/invalid_request|context_length|content_filter|BadRequest/.test(words)) return 400;
  if (/timeout/.test(words)) return 504;
  return 500;
}

/** A vendor's words about its credential would read like words about the caller's. */
function showsVendorWords(reason: ErrorReason, fault: UpstreamFault | undefined): boolean {
  if (fault === undefined || fault.dialect !== "openai") return false;
  return (
    reason === "UPSTREAM_REFUSED" ||
    reason === "UPSTREAM_RATE_LIMITED" ||
    reason === "CONTEXT_TOO_LONG" ||
    reason === "CONTENT_BLOCKED"
  );
}

/** Clients know these two by OpenAI's own codes; all others are the reason in lower case. */
function codeOf(reason: ErrorReason): string {
  if (reason === "CONTEXT_TOO_LONG") return "context_length_exceeded";
  if (reason === "CONTENT_BLOCKED") return "content_filter";
  return reason.toLowerCase();
}
