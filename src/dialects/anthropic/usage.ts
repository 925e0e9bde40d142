import type { Usage } from "../../../gen/weir/v1/usage_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import { createUsage } from "../../mesh/usage.ts";

/**
 * Anthropic's counts as disjoint buckets. Its `input_tokens` leaves out what came from or went to
 * the cache; its `output_tokens` holds the thinking, which only newer models break out.
 */
export function mapUsage(counts: JsonObject): Usage {
  const written = count(counts.cache_creation_input_tokens);
  const byTtl = counts.cache_creation;
  const hour = isJsonObject(byTtl) ? count(byTtl.ephemeral_1h_input_tokens) : 0;
  const details = counts.output_tokens_details;
  const output = count(counts.output_tokens);
  const thinking = isJsonObject(details) ? count(details.thinking_tokens) : 0;
  const reasoningTokens = Math.min(thinking, output);
  const five = isJsonObject(byTtl) ? count(byTtl.ephemeral_5m_input_tokens) : 0;
  return createUsage({
    inputTokens: count(counts.input_tokens),
    cacheReadTokens: count(counts.cache_read_input_tokens),
    cacheWriteTokens: Math.max(five, written - hour),
    cacheWrite1hTokens: hour,
    outputTokens: output - reasoningTokens,
    reasoningTokens,
    vendorToolCalls: mapToolCounts(counts.server_tool_use),
  });
}

/**
 * The same where both sides are counted; undefined otherwise, since a missing, negative or absurd
 * count is no zero and must not be free of charge.
 */
export function readUsage(counts: JsonValue | undefined): Usage | undefined {
  if (!isJsonObject(counts)) return undefined;
  const whole = isCount(counts.input_tokens) && isCount(counts.output_tokens);
  return whole ? mapUsage(counts) : undefined;
}

export function isCount(value: JsonValue | undefined): value is number {
  return typeof value === "number" && value >= 0 && value <= TOKENS_MAX;
}

/** Buckets as Anthropic counts them. */
export function writeUsage(usage: Usage): JsonObject {
  const { cacheWriteTokens, cacheWrite1hTokens } = usage;
  const written: Record<string, JsonValue> = {
    input_tokens: usage.inputTokens + usage.inputAudioTokens,
    cache_creation_input_tokens: cacheWriteTokens + cacheWrite1hTokens,
    cache_read_input_tokens: usage.cacheReadTokens,
    cache_creation: {
      ephemeral_5m_input_tokens: cacheWriteTokens,
      ephemeral_1h_input_tokens: cacheWrite1hTokens,
    },
    output_tokens: usage.outputTokens + usage.reasoningTokens + usage.outputAudioTokens,
  };
  if (usage.reasoningTokens > 0) {
    written.output_tokens_details = { thinking_tokens: usage.reasoningTokens };
  }
  const tools: Record<string, number> = {};
  for (const name in usage.vendorToolCalls) {
    tools[`${name}${TOOL_COUNT_SUFFIX}`] = usage.vendorToolCalls[name] ?? 0;
  }
  if (Object.keys(tools).length > 0) written.server_tool_use = tools;
  return written;
}

/**
 * The counts of a stream: `message_delta` counts the whole message again, so what it names replaces
 * what `message_start` said. A zero counts; null does not.
 */
export function mergeCounts(earlier: JsonObject, later: JsonObject): JsonObject {
  const merged: Record<string, JsonValue | undefined> = { ...earlier };
  for (const name in later) {
    const value = later[name];
    if (value !== null && value !== undefined) merged[name] = value;
  }
  return merged;
}

const TOKENS_MAX = 0x7fffffff;
const TOOL_COUNT_SUFFIX = "_requests";

function mapToolCounts(counts: JsonValue | undefined): Record<string, number> {
  const calls: Record<string, number> = {};
  if (!isJsonObject(counts)) return calls;
  for (const name in counts) {
    const times = count(counts[name]);
    if (times > 0) calls[name.replace(/_requests$/, "")] = times;
  }
  return calls;
}

function count(value: JsonValue | undefined): number {
  return isCount(value) ? Math.trunc(value) : 0;
}
