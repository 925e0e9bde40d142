import {
  type Chat,
  ToolChoice_Mode as Mode,
  type ResponseFormat,
  type Sampling,
  type Tool,
  type ToolChoice,
} from "../../../gen/weir/v1/chat_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import type { Target } from "../../mesh/target.ts";
import type { UpstreamRequest } from "../dialect.ts";
import { capOutput } from "./cap-output.ts";
import { type Field, type WireObject, writeJson } from "./field.ts";
import { writeCacheControl } from "./read-part.ts";
import { writeEffort } from "./read-request.ts";
import { Translation } from "./translation.ts";
import { findVendorTraits } from "./vendor-traits.ts";
import { writeMessages } from "./write-message.ts";
import { parseJson, writeVendorPart } from "./write-part.ts";

const PATH = "/chat/completions";
const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});

/**
 * Ask → request. A body of this dialect goes on as it is, but for the model, the target's
 * overrides, the wish for usage in streams, and what Weir has dealt with itself: `models`,
 * `provider`, and for vendors that do not know them OpenRouter's `session_id`, `usage` and
 * `reasoning`. Any other ask is translated.
 */
export function writeChatRequest(
  ask: ChatAsk,
  target: Target,
  warnings: string[],
  outputTokensMax?: number,
): UpstreamRequest {
  const translation = new Translation(findVendorTraits(target.provider), warnings);
  const body =
    ask.dialect === "openai" && ask.wire !== undefined
      ? copyBody(ask.wire, translation)
      : translateBody(ask.chat(), translation);
  body.model = target.upstreamModel;
  if (ask.stream) {
    body.stream = true;
    const given = body.stream_options;
    body.stream_options = { ...(isJsonObject(given) ? given : undefined), include_usage: true };
  }
  if (target.overrides !== undefined) Object.assign(body, target.overrides);
  if (outputTokensMax !== undefined) capOutput(body, outputTokensMax, translation);
  return { path: PATH, headers: NO_HEADERS, body: writeJson(body, "request") };
}

/**
 * Whether the caller itself asked for usage in the stream, so that the frame for it may be passed
 * on.
 */
export function asksUsage(wire: JsonObject | undefined): boolean {
  if (wire === undefined) return false;
  const { stream_options: options, usage } = wire;
  if (isJsonObject(options) && options.include_usage === true) return true;
  return isJsonObject(usage) && usage.include === true;
}

function copyBody(wire: JsonObject, translation: Translation): WireObject {
  const body: WireObject = { ...wire };
  // Not `delete`: that turns the object into a dictionary, and JSON leaves undefined out.
  if (body.models !== undefined) body.models = undefined;
  if (body.provider !== undefined) body.provider = undefined;
  if (translation.traits.openRouter) return body;
  if (body.session_id !== undefined) body.session_id = undefined;
  if (body.usage !== undefined) body.usage = undefined;
  if (isJsonObject(body.reasoning)) {
    const { effort, max_tokens: maxTokens } = body.reasoning;
    if (typeof effort === "string") body.reasoning_effort ??= effort;
    if (maxTokens != null) translation.warn("reasoning.max_tokens left out: the target has none");
    body.reasoning = undefined;
  }
  return body;
}

function translateBody(chat: Chat, translation: Translation): WireObject {
  const { traits } = translation;
  const body: WireObject = {
    model: chat.model,
    messages: writeMessages(chat.messages, translation),
  };
  if (chat.sampling !== undefined) writeSampling(chat.sampling, body, translation);
  if (chat.tools.length > 0) {
    body.tools = chat.tools.map((tool, at) => writeTool(tool, translation, `tools[${at}]`));
  }
  if (chat.toolChoice !== undefined) writeToolChoice(chat.toolChoice, chat.tools, body);
  if (chat.responseFormat !== undefined) writeFormat(chat.responseFormat, body);
  if (chat.reasoning !== undefined) writeReasoning(chat.reasoning, body, translation);
  if (chat.modalities.length > 0) body.modalities = chat.modalities;
  if (chat.audioOutput !== undefined) {
    body.audio = { voice: chat.audioOutput.voice, format: chat.audioOutput.format };
  }
  if (chat.endUser !== "") body.user = chat.endUser;
  if (chat.sessionId !== "" && traits.openRouter) body.session_id = chat.sessionId;
  writeOptions(chat.providerOptions, body, translation);
  return body;
}

function writeSampling(sampling: Sampling, body: WireObject, translation: Translation): void {
  const { traits } = translation;
  if (sampling.maxTokens !== undefined) {
    body[traits.strict ? "max_completion_tokens" : "max_tokens"] = sampling.maxTokens;
  }
  if (sampling.temperature !== undefined) body.temperature = sampling.temperature;
  if (sampling.topP !== undefined) body.top_p = sampling.topP;
  if (sampling.topK !== undefined) {
    if (traits.strict) translation.warn("top_k left out: the target has none");
    else body.top_k = sampling.topK;
  }
  if (sampling.minP !== undefined) {
    if (traits.strict) translation.warn("min_p left out: the target has none");
    else body.min_p = sampling.minP;
  }
  if (sampling.frequencyPenalty !== undefined) body.frequency_penalty = sampling.frequencyPenalty;
  if (sampling.presencePenalty !== undefined) body.presence_penalty = sampling.presencePenalty;
  if (sampling.seed !== undefined) body.seed = Number(sampling.seed);
  if (sampling.stop.length > 0) body.stop = sampling.stop;
  if (sampling.n !== undefined) body.n = sampling.n;
  if (sampling.logprobs !== undefined) body.logprobs = sampling.logprobs;
  if (sampling.topLogprobs !== undefined) body.top_logprobs = sampling.topLogprobs;
  if (Object.keys(sampling.logitBias).length > 0) body.logit_bias = sampling.logitBias;
}

function writeTool(tool: Tool, translation: Translation, field: string): WireObject {
  const wire = writeToolKind(tool, field);
  if (tool.cacheBreakpoint !== undefined) {
    if (translation.traits.openRouter) wire.cache_control = writeCacheControl(tool.cacheBreakpoint);
    else translation.warn("cache breakpoints left out: the target caches on its own");
  }
  return wire;
}

function writeToolKind({ tool }: Tool, field: string): WireObject {
  if (tool.case === "vendor") return writeVendorPart(tool.value, field);
  const wire: WireObject = { name: tool.value?.name ?? "" };
  if (tool.value?.description) wire.description = tool.value.description;
  if (tool.case === "custom") {
    if (tool.value.format !== "") wire.format = parseJson(tool.value.format);
    return { type: "custom", custom: wire };
  }
  if (tool.value?.parametersSchema) wire.parameters = parseJson(tool.value.parametersSchema);
  if (tool.value?.strict !== undefined) wire.strict = tool.value.strict;
  return { type: "function", function: wire };
}

function writeToolChoice(choice: ToolChoice, tools: readonly Tool[], body: WireObject): void {
  if (choice.parallel !== undefined) body.parallel_tool_calls = choice.parallel;
  switch (choice.mode) {
    case Mode.AUTO:
      body.tool_choice = "auto";
      return;
    case Mode.NONE:
      body.tool_choice = "none";
      return;
    case Mode.REQUIRED:
      body.tool_choice = "required";
      return;
    case Mode.NAMED: {
      const { name } = choice;
      const custom = tools.some(({ tool }) => tool.case === "custom" && tool.value.name === name);
      body.tool_choice = custom
        ? { type: "custom", custom: { name } }
        : { type: "function", function: { name } };
    }
  }
}

function writeFormat({ format }: ResponseFormat, body: WireObject): void {
  if (format.case === "text") body.response_format = { type: "text" };
  if (format.case === "jsonObject") body.response_format = { type: "json_object" };
  if (format.case !== "jsonSchema") return;
  const { name, description, schema, strict } = format.value;
  const form: WireObject = { name: name || "response", schema: parseJson(schema) };
  if (description !== "") form.description = description;
  if (strict !== undefined) form.strict = strict;
  body.response_format = { type: "json_schema", json_schema: form };
}

function writeReasoning(
  reasoning: NonNullable<Chat["reasoning"]>,
  body: WireObject,
  translation: Translation,
): void {
  const effort = writeEffort(reasoning);
  if (translation.traits.openRouter) {
    const wish: WireObject = {};
    if (effort !== undefined) wish.effort = effort;
    if (reasoning.maxTokens !== undefined) wish.max_tokens = reasoning.maxTokens;
    if (reasoning.exclude) wish.exclude = true;
    body.reasoning = wish;
    return;
  }
  if (effort !== undefined) body.reasoning_effort = effort;
  if (reasoning.maxTokens !== undefined) {
    translation.warn("reasoning.max_tokens left out: the target has none");
  }
}

/** Lays the options for this dialect over the body and lists those for others. */
function writeOptions(options: string, body: WireObject, translation: Translation): void {
  if (options === "") return;
  const byDialect: Field = parseJson(options);
  if (!isJsonObject(byDialect)) return;
  for (const [dialect, fields] of Object.entries(byDialect)) {
    if (!isJsonObject(fields)) continue;
    if (dialect === "openai")
      Object.assign(body, fields satisfies Record<string, JsonValue | undefined>);
    else for (const name in fields) translation.warn(`${dialect} field ${name} left out`);
  }
}
