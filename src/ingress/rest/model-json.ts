import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Model } from "../../../gen/weir/v1/model_service_pb.ts";
import type { Price } from "../../../gen/weir/v1/usage_pb.ts";
import type { JsonObject } from "../../mesh/json.ts";
import { formatNanoUsd, formatTokenPrice } from "./decimal.ts";

/** A model as OpenAI lists it, with OpenRouter's richer fields. */
export function writeOpenaiModel(model: Model): JsonObject {
  const context = model.contextTokensMax === 0 ? null : model.contextTokensMax;
  return {
    id: model.name,
    object: "model",
    created: seconds(model.createTime),
    owned_by: "weir",
    name: model.displayName === "" ? model.name : model.displayName,
    context_length: context,
    architecture: writeArchitecture(model.capabilities),
    pricing: writePricing(model.price),
    supported_parameters: listParameters(model.capabilities),
    top_provider: {
      context_length: context,
      max_completion_tokens: model.outputTokensMax === 0 ? null : model.outputTokensMax,
      is_moderated: false,
    },
    capabilities: model.capabilities,
  };
}

/** A model as Anthropic lists it. */
export function writeAnthropicModel(model: Model): JsonObject {
  return {
    type: "model",
    id: model.name,
    display_name: model.displayName === "" ? model.name : model.displayName,
    created_at: new Date(seconds(model.createTime) * 1000).toISOString(),
    max_input_tokens: model.contextTokensMax === 0 ? null : model.contextTokensMax,
    max_tokens: model.outputTokensMax === 0 ? null : model.outputTokensMax,
  };
}

function writeArchitecture(capabilities: readonly string[]): JsonObject {
  const inputs = ["text"];
  if (capabilities.includes("images")) inputs.push("image");
  if (capabilities.includes("audio")) inputs.push("audio");
  if (capabilities.includes("files")) inputs.push("file");
  const embeds = capabilities.includes("embed") && !capabilities.includes("chat");
  const outputs = embeds ? ["embeddings"] : ["text"];
  return {
    modality: `${inputs.join("+")}->${outputs.join("+")}`,
    input_modalities: inputs,
    output_modalities: outputs,
    tokenizer: null,
    instruct_type: null,
  };
}

/** USD for one token, as strings, for a number would lose digits. Null where no price is known. */
function writePricing(price: Price | undefined): JsonObject | null {
  if (price === undefined) return null;
  const pricing: Record<string, string> = {
    prompt: formatTokenPrice(price.inputNanoUsdPerMillion),
    completion: formatTokenPrice(price.outputNanoUsdPerMillion),
    request: formatNanoUsd(price.requestNanoUsd),
  };
  const rest: ReadonlyArray<[string, bigint | undefined]> = [
    ["input_cache_read", price.cacheReadNanoUsdPerMillion],
    ["input_cache_write", price.cacheWriteNanoUsdPerMillion],
    ["audio", price.inputAudioNanoUsdPerMillion],
    ["internal_reasoning", price.reasoningNanoUsdPerMillion],
  ];
  for (const [name, value] of rest) {
    if (value !== undefined) pricing[name] = formatTokenPrice(value);
  }
  return pricing;
}

/** The parameters, in OpenAI's words, that each capability brings. */
const parametersOf: ReadonlyMap<string, readonly string[]> = new Map([
  ["chat", ["max_tokens", "temperature", "top_p", "stop", "stream"]],
  ["embed", ["dimensions", "encoding_format"]],
  ["tools", ["tools", "tool_choice"]],
  ["json_schema", ["response_format", "structured_outputs"]],
  ["reasoning", ["reasoning", "reasoning_effort"]],
]);

function listParameters(capabilities: readonly string[]): string[] {
  return capabilities.flatMap((capability) => parametersOf.get(capability) ?? []);
}

function seconds(time: Timestamp | undefined): number {
  return time === undefined ? 0 : Number(time.seconds);
}
