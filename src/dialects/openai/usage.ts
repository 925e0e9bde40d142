import type { Cost, Usage } from "../../../gen/weir/v1/usage_pb.ts";
import { isJsonObject, type JsonObject } from "../../mesh/json.ts";
import { createUsage, sumInputTokens, sumOutputTokens } from "../../mesh/usage.ts";
import type { Field, WireObject } from "./field.ts";

const TOKENS_MAX = 2_147_483_647;

/**
 * A vendor's count as disjoint buckets. OpenAI counts cached and audio tokens within the prompt,
 * and reasoning and audio tokens within the completion. Undefined when there is no count at all; a
 * count of zero is one, a negative number or one beyond all prompts is none.
 */
export function readUsage(value: Field): Usage | undefined {
  if (!isJsonObject(value)) return undefined;
  const { prompt_tokens: prompt, completion_tokens: completion } = value;
  if (isMissing(prompt) && isMissing(completion)) return undefined;
  // Half a count would make the other half free of charge.
  if (!(isMissing(prompt) || isCount(prompt))) return undefined;
  if (!(isMissing(completion) || isCount(completion))) return undefined;
  const promptDetails = readDetails(value.prompt_tokens_details);
  const completionDetails = readDetails(value.completion_tokens_details);

  // Some vendors count a token as read from the cache and as written into it: no bucket may take
  // what another has.
  let inputTokens = readCount(prompt);
  const take = (count: Field): number => {
    const taken = Math.min(readCount(count), inputTokens);
    inputTokens -= taken;
    return taken;
  };
  // DeepSeek, and Moonshot with Together, have words of their own for the cache.
  const cacheReadTokens = take(
    promptDetails.cached_tokens ?? value.prompt_cache_hit_tokens ?? value.cached_tokens,
  );
  const cacheWriteTokens = take(promptDetails.cache_write_tokens);
  const inputAudioTokens = take(promptDetails.audio_tokens);
  const reasoningTokens = readCount(completionDetails.reasoning_tokens ?? value.reasoning_tokens);
  const outputAudioTokens = readCount(completionDetails.audio_tokens);
  const outputTokens = readCount(completion) - outputAudioTokens;

  const usage = createUsage({
    inputTokens,
    cacheReadTokens,
    cacheWriteTokens,
    inputAudioTokens,
    outputTokens: Math.max(
      0,
      countsReasoningApart(value, reasoningTokens) ? outputTokens : outputTokens - reasoningTokens,
    ),
    reasoningTokens,
    outputAudioTokens,
  });
  readVendorTools(value.server_tool_use_details ?? value.server_tool_use, usage);
  const cost = value.cost;
  if (typeof cost === "number" && cost >= 0 && cost < 1e9) {
    usage.upstreamCostNanoUsd = BigInt(Math.round(cost * 1e9));
  }
  return usage;
}

/** A usage as OpenAI's object, with OpenRouter's `cost` in USD when it is known. */
export function writeUsage(usage: Usage | undefined, cost: Cost | undefined): WireObject {
  const counts = usage ?? createUsage();
  const prompt = sumInputTokens(counts);
  const completion = sumOutputTokens(counts);
  const promptDetails: WireObject = {
    cached_tokens: counts.cacheReadTokens,
    audio_tokens: counts.inputAudioTokens,
  };
  const written = counts.cacheWriteTokens + counts.cacheWrite1hTokens;
  if (written > 0) promptDetails.cache_write_tokens = written;
  const wire: WireObject = {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: promptDetails,
    completion_tokens_details: {
      reasoning_tokens: counts.reasoningTokens,
      audio_tokens: counts.outputAudioTokens,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
  if (cost?.known) wire.cost = Number(cost.costNanoUsd) / 1e9;
  return wire;
}

/** xAI counts reasoning beside the completion and not within it; its total gives it away. */
function countsReasoningApart(usage: JsonObject, reasoning: number): boolean {
  if (reasoning === 0) return false;
  const completion = readCount(usage.completion_tokens);
  if (reasoning > completion) return true;
  return usage.total_tokens === readCount(usage.prompt_tokens) + completion + reasoning;
}

function readVendorTools(value: Field, usage: Usage): void {
  const searches = readCount(readDetails(value).web_search_requests);
  if (searches > 0) usage.vendorToolCalls = { web_search: searches };
}

const NO_DETAILS: JsonObject = {};

function readDetails(value: Field): JsonObject {
  return isJsonObject(value) ? value : NO_DETAILS;
}

function isMissing(value: Field): boolean {
  return value === undefined || value === null;
}

function isCount(value: Field): value is number {
  return typeof value === "number" && value >= 0 && value <= TOKENS_MAX;
}

function readCount(value: Field): number {
  return isCount(value) ? Math.round(value) : 0;
}
