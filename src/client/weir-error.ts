import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";

/** What a WeirError is made of. */
export interface WeirErrorParts {
  readonly reason: string;
  readonly code: number;
  readonly message: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly fields?: readonly FieldViolation[];
  readonly retryDelayMs?: number | undefined;
  readonly requestId?: string | undefined;
  readonly cause?: unknown;
}

/** A field of the request that is at fault. */
export interface FieldViolation {
  /** Its path, such as `chat.messages[0].role`. */
  readonly field: string;
  readonly description: string;
}

/** A call that failed: in Weir, behind it, or on the way to it. */
export class WeirError extends Error {
  /**
   * What went wrong, for programs: a name of weir.v1.ErrorReason without its prefix, such as
   * `MODEL_NOT_ALLOWED`. When nothing of Weir answered, it is UNAVAILABLE, DEADLINE_EXCEEDED,
   * CALLER_GONE (aborted here) or INTERNAL.
   */
  readonly reason: string;
  /** gRPC status code, by number. */
  readonly code: number;
  /** Facts for programs, such as the policy and the limit that refused. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Fields of the request that are at fault. */
  readonly fields: readonly FieldViolation[];
  /** When it makes sense to come back, in milliseconds. Undefined means that Weir does not say. */
  readonly retryDelayMs: number | undefined;
  /** Identifier of the request, for support. Undefined when no answer came. */
  readonly requestId: string | undefined;

  constructor(parts: WeirErrorParts) {
    super(parts.message, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.name = "WeirError";
    this.reason = parts.reason;
    this.code = parts.code;
    this.metadata = parts.metadata ?? {};
    this.fields = parts.fields ?? [];
    this.retryDelayMs = parts.retryDelayMs;
    this.requestId = parts.requestId;
  }
}

/** What a transport knows of a failed call. */
export interface FailedCall {
  /** gRPC status code, by number. */
  readonly code: number;
  readonly message: string;
  /** google.rpc.Status in protobuf. Undefined means that none came. */
  readonly status: Uint8Array | undefined;
  readonly requestId: string | undefined;
  readonly cause: unknown;
}

/** The error that a failed call is for its caller. Details that cannot be read are left out. */
export function decodeWeirError(failed: FailedCall): WeirError {
  const found = failed.status === undefined ? undefined : readDetails(failed.status);
  return new WeirError({
    reason: found?.reason || reasonOfCode(failed.code),
    code: failed.code,
    message: found?.reason ? failed.message : describe(failed),
    metadata: found?.metadata ?? {},
    fields: found?.fields ?? [],
    retryDelayMs: found?.retryDelayMs,
    requestId: failed.requestId,
    cause: failed.cause,
  });
}

interface Details {
  reason: string;
  metadata: Record<string, string>;
  fields: FieldViolation[];
  retryDelayMs: number | undefined;
}

function readDetails(status: Uint8Array): Details | undefined {
  const found: Details = { reason: "", metadata: {}, fields: [], retryDelayMs: undefined };
  try {
    for (const detail of fromBinary(StatusSchema, status).details) {
      const info = anyUnpack(detail, ErrorInfoSchema);
      if (info !== undefined) {
        found.reason = info.reason;
        found.metadata = info.metadata;
      }
      const delay = anyUnpack(detail, RetryInfoSchema)?.retryDelay;
      if (delay !== undefined)
        found.retryDelayMs = Number(delay.seconds) * 1000 + delay.nanos / 1e6;
      for (const { field, description } of anyUnpack(detail, BadRequestSchema)?.fieldViolations ??
        []) {
        found.fields.push({ field, description });
      }
    }
  } catch {
    // Somebody on the way who is not Weir wrote them; the code and the message still tell.
    return undefined;
  }
  return found;
}

/** What a transport says of a deadline is about itself. */
function describe({ code, message }: FailedCall): string {
  return code === 4 ? "The deadline passed before the answer was complete." : message;
}

function reasonOfCode(code: number): string {
  return reasonsByCode.get(code) ?? "INTERNAL";
}

/** Reasons for errors that carry none: a proxy on the way, or this side of the wire. */
const reasonsByCode: ReadonlyMap<number, string> = new Map([
  [1, "CALLER_GONE"],
  [3, "INVALID_REQUEST"],
  [4, "DEADLINE_EXCEEDED"],
  [5, "NOT_FOUND"],
  [6, "ALREADY_EXISTS"],
  [7, "PERMISSION_DENIED"],
  [8, "RATE_LIMITED"],
  [9, "FAILED_PRECONDITION"],
  [12, "UNIMPLEMENTED"],
  [14, "UNAVAILABLE"],
  [16, "CREDENTIAL_UNKNOWN"],
]);
