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

/**
 * The columns of `requests`. The whole record rides along as protobuf; the others are what queries
 * look at.
 */
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
