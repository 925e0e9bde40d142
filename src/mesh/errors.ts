/**
 * Every error that a caller can see has a reason from this one table; a test holds the table,
 * `weir.v1.ErrorReason` and the README to each other.
 */
export const errorTable = {
  INVALID_REQUEST: row(3, 400, "invalid_request_error", "invalid_request_error", false),
  CREDENTIAL_MISSING: row(16, 401, "authentication_error", "authentication_error", false),
  CREDENTIAL_UNKNOWN: row(16, 401, "authentication_error", "authentication_error", false),
  CREDENTIAL_EXPIRED: row(16, 401, "authentication_error", "authentication_error", false),
  CREDENTIAL_DISABLED: row(16, 401, "authentication_error", "authentication_error", false),
  PERMISSION_DENIED: row(7, 403, "permission_error", "permission_error", false),
  MODEL_NOT_ALLOWED: row(7, 403, "permission_error", "permission_error", false),
  PARAMETER_NOT_ALLOWED: row(7, 403, "permission_error", "permission_error", false),
  MODEL_NOT_FOUND: row(5, 404, "invalid_request_error", "not_found_error", false),
  NOT_FOUND: row(5, 404, "invalid_request_error", "not_found_error", false),
  ALREADY_EXISTS: row(6, 409, "invalid_request_error", "invalid_request_error", false),
  ETAG_MISMATCH: row(10, 409, "invalid_request_error", "invalid_request_error", false),
  FAILED_PRECONDITION: row(9, 400, "invalid_request_error", "invalid_request_error", false),
  REQUEST_TOO_LARGE: row(8, 413, "invalid_request_error", "request_too_large", false),
  UNSUPPORTED_MEDIA_TYPE: row(3, 415, "invalid_request_error", "invalid_request_error", false),
  ROUTE_NOT_FOUND: row(12, 404, "invalid_request_error", "not_found_error", false),
  METHOD_NOT_ALLOWED: row(12, 405, "invalid_request_error", "invalid_request_error", false),
  UNIMPLEMENTED: row(12, 501, "invalid_request_error", "invalid_request_error", false),
  BUDGET_EXHAUSTED: row(8, 429, "insufficient_quota", "rate_limit_error", false),
  RATE_LIMITED: row(8, 429, "rate_limit_error", "rate_limit_error", true),
  QUOTA_UNAVAILABLE: row(14, 503, "server_error", "overloaded_error", true),
  PRICE_UNKNOWN: row(9, 400, "invalid_request_error", "invalid_request_error", false),
  CALLER_GONE: row(1, 499, "server_error", "api_error", false),
  DEADLINE_EXCEEDED: row(4, 504, "server_error", "api_error", false),
  UPSTREAM_REFUSED: row(3, 400, "invalid_request_error", "invalid_request_error", false),
  UPSTREAM_FAILED: row(14, 502, "server_error", "api_error", true),
  UPSTREAM_GARBLED: row(14, 502, "server_error", "api_error", true),
  UPSTREAM_TIMEOUT: row(14, 504, "server_error", "api_error", true),
  UPSTREAM_RATE_LIMITED: row(8, 429, "rate_limit_error", "rate_limit_error", true),
  UPSTREAM_CREDENTIAL: row(14, 502, "server_error", "api_error", false),
  NO_TARGET: row(14, 503, "server_error", "overloaded_error", true),
  UNAVAILABLE: row(14, 503, "server_error", "overloaded_error", true),
  INTERNAL: row(13, 500, "server_error", "api_error", false),
  CONTEXT_TOO_LONG: row(3, 400, "invalid_request_error", "invalid_request_error", false),
  CONTENT_BLOCKED: row(3, 400, "invalid_request_error", "invalid_request_error", false),
} as const satisfies Record<string, ErrorRow>;

/** Name of a row, the `reason` of google.rpc.ErrorInfo. */
export type ErrorReason = keyof typeof errorTable;

/** How one reason looks at each door. */
export interface ErrorRow {
  /** gRPC status code, by number. */
  readonly grpc: number;
  readonly http: number;
  /** `error.type` of OpenAI's error object. */
  readonly openai: string;
  /** `error.type` of Anthropic's error object. */
  readonly anthropic: string;
  /** True when the same request may succeed later, unchanged. */
  readonly retryable: boolean;
}

/** What an error may say beside its reason and its text. */
export interface ErrorDetails {
  /** The fault beneath; for the log, never sent. */
  readonly cause?: unknown;
  /** The field at fault, by its name in the caller's own dialect, such as `messages[0].role`. */
  readonly field?: string;
  /** When it makes sense to come back, in milliseconds from now. */
  readonly retryAfterMs?: number;
  /**
   * Facts for programs, such as {policy, scope, dimension, limit, remaining, resets_at}. All may be
   * shown.
   */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Text for those who run Weir: goes into the request's record and the log, never to callers. */
  readonly internal?: string;
  /** The vendor's own words for it: HTTP status, `type` and `code` as it sent them. */
  readonly upstream?: UpstreamFault;
}

/** An error as a vendor told it. */
export interface UpstreamFault {
  readonly status: number;
  readonly type: string;
  readonly code: string;
  readonly param: string;
  /**
   * The dialect that it was told in: a door of the same dialect may show it as it is. Unset means
   * unknown.
   */
  readonly dialect?: string;
}

/**
 * An operating error: expected, explained to the caller, counted by its reason. Anything else
 * thrown is a fault of ours.
 */
export class MeshError extends Error {
  readonly reason: ErrorReason;
  readonly details: ErrorDetails;

  /** `message` is shown to the caller and says who must do what; it names nothing internal. */
  constructor(reason: ErrorReason, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "MeshError";
    this.reason = reason;
    this.details = details;
  }

  get row(): ErrorRow {
    return errorTable[this.reason];
  }
}

/** Whatever was thrown, as a MeshError: a fault of ours becomes INTERNAL, its text stays inside. */
export function asMeshError(thrown: unknown): MeshError {
  if (thrown instanceof MeshError) return thrown;
  const internal = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return new MeshError("INTERNAL", "Weir failed inside. Tell whoever runs it the request id.", {
    cause: thrown,
    internal,
  });
}

function row(
  grpc: number,
  http: number,
  openai: string,
  anthropic: string,
  retryable: boolean,
): ErrorRow {
  return { grpc, http, openai, anthropic, retryable };
}
