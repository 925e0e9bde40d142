import type { Chat, ResponseFormat, Sampling } from "../../../gen/weir/v1/chat_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import type { Target } from "../../mesh/target.ts";
import type { UpstreamRequest } from "../dialect.ts";
import { capOutput } from "./cap-output.ts";
import { encodeJson, refuseField } from "./fields.ts";
import { findTraits, type ModelTraits } from "./models.ts";
import { OWN_FIELDS } from "./read-request.ts";
import type { ContentNotes } from "./write-content.ts";
import { writeConversation } from "./write-messages.ts";
import { type ThinkingWish, writeThinking } from "./write-thinking.ts";
import { writeToolChoice, writeTools } from "./write-tools.ts";

/** The version of the wire that this dialect is written for. */
const ANTHROPIC_VERSION = "2023-06-01";
/**
 * Anthropic has no default; this is what it gets when neither the caller nor the target names one.
 */
const MAX_TOKENS_DEFAULT = 4096;

/**
 * An ask as a request to `/messages`. An ask of this dialect goes on as it is, but for the model,
 * the target's overrides and what only Weir understands. Any other is written from its message;
 * what Anthropic does not have is named in `warnings`, or refused with INVALID_REQUEST where
 * leaving it out would change what the caller gets. `provider_options.anthropic` is laid over the
 * result: `betas` becomes a header, `tools` may be an object of fields by tool name, `thinking` and
 * `output_config.effort` win over the typed wish for reasoning.
 */
export function writeRequest(
  ask: ChatAsk,
  target: Target,
  warnings: string[],
  outputTokensMax?: number,
): UpstreamRequest {
  const { body, betas } = composeBody(ask, target, warnings);
  Object.assign(body, target.overrides);
  if (outputTokensMax !== undefined) capOutput(body, outputTokensMax, warnings);
  return {
    path: "/messages",
    headers: writeHeaders(ask, betas),
    body: encodeJson(body, "request"),
  };
}

/** A body and the betas that it needs. */
export interface RequestDraft {
  readonly body: Record<string, JsonValue | undefined>;
  readonly betas: readonly string[];
}

/** The body of a request, before the target's overrides. */
export function composeBody(ask: ChatAsk, target: Target, warnings: string[]): RequestDraft {
  if (ask.dialect !== "anthropic" || ask.wire === undefined) {
    return translateBody(ask, target, warnings);
  }
  const body: Record<string, JsonValue | undefined> = { ...ask.wire };
  // Not `delete`, which would turn the object into a dictionary: JSON leaves undefined out.
  for (const field of OWN_FIELDS) if (body[field] !== undefined) body[field] = undefined;
  body.model = target.upstreamModel;
  return { body, betas: [] };
}

/** Headers of a request; a caller of this dialect may name its own version and betas. */
export function writeHeaders(ask: ChatAsk, betas: readonly string[]): Record<string, string> {
  const own = ask.dialect === "anthropic" ? ask.wireHeaders : undefined;
  const headers: Record<string, string> = {
    "anthropic-version": own?.["anthropic-version"] ?? ANTHROPIC_VERSION,
  };
  const beta = own?.["anthropic-beta"] ?? betas.join(",");
  if (beta !== "") headers["anthropic-beta"] = beta;
  return headers;
}

function translateBody(ask: ChatAsk, target: Target, warnings: string[]): RequestDraft {
  const chat = ask.chat();
  const traits = findTraits(target.upstreamModel);
  const options = readOptions(chat, warnings);
  const { betas: rawBetas, tools: toolOptions, output_config: rawConfig, ...rest } = options;
  const ownConfig = isJsonObject(rawConfig) ? rawConfig : {};
  const notes: ContentNotes = { warnings, usesFiles: false };
  const { system, messages } = writeConversation(chat.messages, traits, notes);
  const saysThinking = rest.thinking !== undefined || ownConfig.effort !== undefined;
  const wish = saysThinking
    ? keepBudget(rest.thinking, chat)
    : writeThinking(chat, traits, target.outputTokensMax, warnings);
  const format = writeFormat(chat.responseFormat, system, warnings);

  const body: Record<string, JsonValue | undefined> = { model: target.upstreamModel };
  body.max_tokens = pickMaxTokens(chat.sampling, target, wish);
  if (system.length > 0) body.system = system;
  body.messages = messages;
  const tools = [...writeTools(chat.tools)];
  const merged = mergeToolOptions(tools, toolOptions);
  if (merged.length > 0) body.tools = merged;
  body.tool_choice = writeToolChoice(chat.toolChoice, merged.length > 0);
  body.thinking = wish.thinking;
  const config = { ...(wish.effort && { effort: wish.effort }), ...format, ...ownConfig };
  if (Object.keys(config).length > 0) body.output_config = config;
  const thinks = isThinking(rest.thinking ?? wish.thinking);
  addSampling(body, chat.sampling, { traits, thinks, warnings });
  const ownMetadata = isJsonObject(rest.metadata) ? rest.metadata : {};
  if (ask.endUser !== "") rest.metadata = { user_id: ask.endUser, ...ownMetadata };
  warnOfTheRest(chat, warnings);
  Object.assign(body, rest);
  if (ask.stream) body.stream = true;
  return { body, betas: listBetas(rawBetas, notes) };
}

/** `provider_options.anthropic`; what is meant for other vendors is named in a warning. */
function readOptions(chat: Chat, warnings: string[]): Record<string, JsonValue | undefined> {
  if (chat.providerOptions === "") return {};
  let all: unknown;
  try {
    all = JSON.parse(chat.providerOptions);
  } catch {
    throw refuseField("provider_options", "must be JSON");
  }
  if (!isJsonObject(all)) throw refuseField("provider_options", "must be a JSON object");
  for (const name in all) {
    if (name === "anthropic") continue;
    const fields = isJsonObject(all[name]) ? Object.keys(all[name]) : [];
    warnings.push(`provider_options.${name}: not for this target (${fields.join(", ")})`);
  }
  const own = all.anthropic ?? {};
  if (!isJsonObject(own)) throw refuseField("provider_options.anthropic", "must be an object");
  return { ...own };
}

/**
 * What the caller said in Anthropic's own words stands; a budget still makes room in a `max_tokens`
 * that we choose.
 */
function keepBudget(thinking: JsonValue | undefined, chat: Chat): ThinkingWish {
  const budget = isJsonObject(thinking) ? thinking.budget_tokens : chat.reasoning?.maxTokens;
  const typed = chat.reasoning?.maxTokens;
  return {
    thinking:
      thinking === undefined && typed !== undefined
        ? { type: "enabled", budget_tokens: typed }
        : undefined,
    effort: undefined,
    budgetTokens: typeof budget === "number" ? budget : 0,
  };
}

function isThinking(thinking: JsonValue | undefined): boolean {
  return isJsonObject(thinking) && thinking.type !== "disabled";
}

function pickMaxTokens(sampling: Sampling | undefined, target: Target, wish: ThinkingWish): number {
  if (sampling?.maxTokens !== undefined) return sampling.maxTokens;
  return target.outputTokensMax ?? MAX_TOKENS_DEFAULT + wish.budgetTokens;
}

/**
 * The form of the answer as `output_config.format`. A plain JSON object has no form here: it is
 * asked for in words.
 */
function writeFormat(
  responseFormat: ResponseFormat | undefined,
  system: JsonObject[],
  warnings: string[],
): JsonObject {
  const format = responseFormat?.format;
  if (format?.case === "jsonObject") {
    warnings.push("response_format: a JSON object is asked for in words, not enforced");
    system.push({ type: "text", text: "Answer with one JSON object and nothing else." });
    return {};
  }
  if (format?.case !== "jsonSchema") return {};
  try {
    return { format: { type: "json_schema", schema: JSON.parse(format.value.schema) } };
  } catch {
    throw refuseField("response_format.json_schema.schema", "must be JSON");
  }
}

/** Fields by tool name are laid over the tools; an array names more tools. */
function mergeToolOptions(
  tools: readonly JsonObject[],
  options: JsonValue | undefined,
): JsonValue[] {
  if (Array.isArray(options)) return [...tools, ...options];
  if (!isJsonObject(options)) return [...tools];
  return tools.map((tool) => {
    const fields = tool.type === undefined ? options[String(tool.name)] : undefined;
    return isJsonObject(fields) ? { ...tool, ...fields } : tool;
  });
}

interface SamplingRules {
  readonly traits: ModelTraits;
  readonly thinks: boolean;
  readonly warnings: string[];
}

function addSampling(
  body: Record<string, JsonValue | undefined>,
  sampling: Sampling | undefined,
  rules: SamplingRules,
): void {
  if (sampling === undefined) return;
  const { warnings, thinks, traits } = rules;
  if (sampling.stop.length > 0) {
    const stop = sampling.stop.filter((text) => text.trim() !== "");
    if (stop.length < sampling.stop.length) warnings.push("stop: blank texts are left out");
    if (stop.length > 0) body.stop_sequences = stop;
  }
  const { temperature, topP, topK } = sampling;
  const wanted = { temperature, top_p: topP, top_k: topK };
  for (const [name, value] of Object.entries(wanted)) {
    if (value === undefined) continue;
    if (!traits.sampling) {
      warnings.push(`${name}: this model takes none`);
    } else if (thinks && !(name === "top_p" && value >= 0.95)) {
      if (value !== 1) warnings.push(`${name}: left out, since reasoning allows none here`);
    } else if (name === "temperature" && value > 1) {
      warnings.push("temperature: 1 is the most that this target takes");
      body[name] = 1;
    } else {
      body[name] = value;
    }
  }
}

/**
 * Names what Anthropic has no word for. Several answers are refused: one answer is not what the
 * caller asked for.
 */
function warnOfTheRest(chat: Chat, warnings: string[]): void {
  const sampling = chat.sampling;
  if ((sampling?.n ?? 1) > 1) throw refuseField("n", "this target gives one answer");
  const lost: string[] = [];
  if (sampling?.minP !== undefined) lost.push("min_p");
  if (sampling?.frequencyPenalty) lost.push("frequency_penalty");
  if (sampling?.presencePenalty) lost.push("presence_penalty");
  if (sampling?.seed !== undefined) lost.push("seed");
  if (sampling?.logprobs) lost.push("logprobs");
  if (sampling?.topLogprobs !== undefined) lost.push("top_logprobs");
  if (Object.keys(sampling?.logitBias ?? {}).length > 0) lost.push("logit_bias");
  if (chat.modalities.some((modality) => modality !== "text")) lost.push("modalities");
  if (chat.audioOutput !== undefined) lost.push("audio_output");
  for (const name of lost) warnings.push(`${name}: this target has no such parameter`);
}

function listBetas(raw: JsonValue | undefined, notes: ContentNotes): string[] {
  const betas = Array.isArray(raw) ? raw.filter((beta) => typeof beta === "string") : [];
  const files = "files-api-2025-04-14";
  if (notes.usesFiles && !betas.some((beta) => beta.startsWith("files-api"))) betas.push(files);
  return betas;
}
