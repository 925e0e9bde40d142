import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import type { ErrorReason, MeshError } from "./errors.ts";

/** The domain of every `google.rpc.ErrorInfo` of Weir. */
export const errorDomain = "weir";

/** An error as gRPC tells it: code, public text, and google.rpc messages for programs. */
export interface RpcStatus {
  /** gRPC status code, by number. */
  readonly code: number;
  readonly message: string;
  /** ErrorInfo first; RetryInfo, QuotaFailure and BadRequest where they say something. */
  readonly details: readonly StatusDetail[];
}

/** One google.rpc message with its descriptor, the form in which connect takes it. */
export interface StatusDetail {
  readonly desc: DescMessage;
  readonly value: MessageShape<DescMessage>;
}

/** What a gRPC caller is told of an error; nothing internal is in it. */
export function mapStatus(error: MeshError): RpcStatus {
  const { retryAfterMs, field, metadata } = error.details;
  const details: StatusDetail[] = [
    {
      desc: ErrorInfoSchema,
      value: create(ErrorInfoSchema, {
        reason: error.reason,
        domain: errorDomain,
        metadata: { ...metadata },
      }),
    },
  ];
  if (retryAfterMs !== undefined) {
    details.push({ desc: RetryInfoSchema, value: createRetryInfo(retryAfterMs) });
  }
  if (quotaReasons.has(error.reason)) {
    const subject = metadata?.scope ?? metadata?.policy ?? "";
    const violations = [{ subject, description: error.message }];
    details.push({
      desc: QuotaFailureSchema,
      value: create(QuotaFailureSchema, { violations }),
    });
  }
  if (field !== undefined) {
    const fieldViolations = [{ field, description: error.message }];
    details.push({
      desc: BadRequestSchema,
      value: create(BadRequestSchema, { fieldViolations }),
    });
  }
  return { code: error.row.grpc, message: error.message, details };
}

/**
 * A status as `google.rpc.Status` in protobuf: the value of `grpc-status-details-bin`, before
 * base64.
 */
export function encodeStatus(status: RpcStatus): Uint8Array {
  return toBinary(
    StatusSchema,
    create(StatusSchema, {
      code: status.code,
      message: status.message,
      details: status.details.map(({ desc, value }) => anyPack(desc, value)),
    }),
  );
}

const quotaReasons: ReadonlySet<ErrorReason> = new Set([
  "BUDGET_EXHAUSTED",
  "RATE_LIMITED",
  "QUOTA_UNAVAILABLE",
]);

function createRetryInfo(retryAfterMs: number) {
  const ms = Math.max(0, Math.ceil(retryAfterMs));
  const seconds = Math.floor(ms / 1000);
  return create(RetryInfoSchema, {
    retryDelay: { seconds: BigInt(seconds), nanos: (ms - seconds * 1000) * 1e6 },
  });
}
