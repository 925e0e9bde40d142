import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import type { SqlValue } from "./sql-session.ts";

/** A record as the tables take it. */
export interface LedgerRow {
  readonly requestId: string;
  readonly startMs: number;
  readonly key: string;
  /** In the order of `requestColumns`. */
  readonly values: readonly SqlValue[];
  readonly labels: readonly (readonly [string, string])[];
}

/** The columns of `requests`. The whole record rides along as protobuf; the others are what queries look at. */
export const requestColumns = [
  "request_id",
  "start_ms",
  "kind",
  "door",
  "stream",
  "team",
  "key_name",
  "user_name",
  "model_asked",
  "model",
  "provider",
  "upstream_model",
  "input_tokens",
  "cache_read_tokens",
  "cache_write_tokens",
  "cache_write_1h_tokens",
  "input_audio_tokens",
  "output_tokens",
  "reasoning_tokens",
  "output_audio_tokens",
  "cost_nano_usd",
  "cost_known",
  "latency_us",
  "first_token_us",
  "finish_reason",
  "error_reason",
  "cache",
  "policy_revision",
  "proxy_id",
  "record",
] as const;

export function encodeRecord(record: RequestRecord): LedgerRow {
  const startMs = readMilliseconds(record.startTime) ?? 0;
  const { usage } = record;
  return {
    requestId: record.requestId,
    startMs,
    key: record.key,
    labels: Object.entries(record.labels),
    values: [
      record.requestId,
      startMs,
      record.kind,
      record.door,
      record.stream ? 1 : 0,
      record.team,
      record.key,
      record.user,
      record.modelAsked,
      record.model,
      record.provider,
      record.upstreamModel,
      usage?.inputTokens ?? 0,
      usage?.cacheReadTokens ?? 0,
      usage?.cacheWriteTokens ?? 0,
      usage?.cacheWrite1hTokens ?? 0,
      usage?.inputAudioTokens ?? 0,
      usage?.outputTokens ?? 0,
      usage?.reasoningTokens ?? 0,
      usage?.outputAudioTokens ?? 0,
      record.costNanoUsd,
      record.costKnown ? 1 : 0,
      record.latencyUs,
      record.timeToFirstTokenUs ?? null,
      record.finishReason,
      record.errorReason,
      record.cache,
      record.policyRevision,
      record.proxyId,
      toBinary(RequestRecordSchema, record),
    ],
  };
}

export function decodeRecord(bytes: Uint8Array): RequestRecord {
  return fromBinary(RequestRecordSchema, bytes);
}

/** Milliseconds since 1970, rounded down. */
export function readMilliseconds(time: Timestamp | undefined): number | undefined {
  return time && Number(time.seconds) * 1000 + Math.floor(time.nanos / 1_000_000);
}
