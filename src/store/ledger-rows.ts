import type { SqlValue } from "./sql-session.ts";

/** A record as the tables take it: what queries look at, and the whole of it as protobuf. */
export interface LedgerRow {
  readonly requestId: string;
  readonly startMs: number;
  readonly team: string;
  readonly key: string;
  readonly user: string;
  readonly modelAsked: string;
  readonly model: string;
  readonly provider: string;
  readonly inputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  readonly cacheWrite1hTokens: number;
  readonly inputAudioTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  readonly outputAudioTokens: number;
  /** A bigint only where a number would not be exact. */
  readonly costNanoUsd: number | bigint;
  readonly costKnown: boolean;
  /** A bigint only where a number would not be exact. */
  readonly latencyUs: number | bigint;
  readonly errorReason: string;
  /** Each label once. */
  readonly labels: readonly (readonly [string, string])[];
  readonly record: Uint8Array;
}

/** The columns of `requests`. */
export const requestColumns = [
  "request_id",
  "start_ms",
  "team",
  "key_name",
  "user_name",
  "model_asked",
  "model",
  "provider",
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
  "error_reason",
  "record",
] as const;

/** The values of a row in the order of `requestColumns`. */
export function listValues(row: LedgerRow): readonly SqlValue[] {
  return [
    row.requestId,
    row.startMs,
    row.team,
    row.key,
    row.user,
    row.modelAsked,
    row.model,
    row.provider,
    row.inputTokens,
    row.cacheReadTokens,
    row.cacheWriteTokens,
    row.cacheWrite1hTokens,
    row.inputAudioTokens,
    row.outputTokens,
    row.reasoningTokens,
    row.outputAudioTokens,
    row.costNanoUsd,
    row.costKnown ? 1 : 0,
    row.latencyUs,
    row.errorReason,
    row.record,
  ];
}
