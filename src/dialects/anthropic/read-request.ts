import {
  type Chat,
  type Message,
  type Reasoning,
  Reasoning_Effort,
  type ResponseFormat,
  Role,
  type Sampling,
} from "../../../gen/weir/v1/chat_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import { readRouting } from "../openai/read-routing.ts";
import { boundBody } from "./bound-ask.ts";
import {
  encodeJson,
  parseArray,
  parseObject,
  parseOptionalBoolean,
  parseOptionalInt,
  parseOptionalNumber,
  parseOptionalString,
  parseString,
  parseStrings,
  refuseField,
} from "./fields.ts";
import { parseContent } from "./read-content.ts";
import { parseToolChoice, parseTools } from "./read-tools.ts";

/** Most models that a request may name to fall back to. */
const FALLBACK_MODELS_MAX = 8;

/**
 * The body of `/v1/messages` as an ask. Beyond Anthropic's own fields it takes `models` (what to
 * fall back to), `provider` (routing preferences, as OpenRouter has them) and `session_id`. Throws
 * INVALID_REQUEST naming the field.
 */
export function readAsk(body: JsonObject, bytes: number): ChatAsk {
  if (parseOptionalInt(body.max_tokens, "max_tokens", 1) === undefined) {
    throw refuseField("max_tokens", "is required");
  }
  return readCountAsk(body, bytes);
}

/**
 * The body of `/v1/messages/count_tokens` as an ask: like `readAsk`, but `max_tokens` may be
 * absent.
 */
export function readCountAsk(body: JsonObject, bytes: number): ChatAsk {
  const model = parseString(body.model, "model");
  if (model === "") throw refuseField("model", "must not be empty");
  parseRoles(body);
  const fallbackModels = parseFallbackModels(body.models);
  let chat: Chat | undefined;
  const read = (): Chat => {
    chat ??= parseChat(body, fallbackModels);
    return chat;
  };
  return {
    dialect: "anthropic",
    model,
    fallbackModels,
    stream: parseOptionalBoolean(body.stream, "stream") === true,
    labels: {},
    sessionId: parseOptionalString(body.session_id, "session_id"),
    endUser: parseEndUser(body),
    bytes,
    wire: body,
    parameters: () => listParameters(body),
    routing: () => (body.provider == null ? undefined : read().routing),
    chat: read,
    bounds: () => boundBody(body),
  };
}

/** What Weir itself understands of a body, so that no upstream may see it. */
export const OWN_FIELDS: readonly string[] = ["models", "provider", "session_id"];

/** Fields that have a place of their own in `weir.v1.Chat`; all others become provider options. */
const TYPED_FIELDS = new Set([
  ...OWN_FIELDS,
  ...["model", "messages", "system", "max_tokens", "stream", "tools", "tool_choice", "metadata"],
  ...["thinking", "output_config", "output_format", "stop_sequences", "temperature"],
  ...["top_p", "top_k"],
]);

function parseRoles(body: JsonObject): void {
  const messages = parseArray(body.messages, "messages");
  if (messages.length === 0) throw refuseField("messages", "must not be empty");
  for (let index = 0; index < messages.length; index++) {
    const message = messages[index];
    if (!isJsonObject(message)) throw refuseField(`messages[${index}]`, "must be an object");
    const role = message.role;
    if (role === "user" || role === "assistant" || role === "system") continue;
    throw refuseField(`messages[${index}].role`, "must be user, assistant or system");
  }
}

function parseFallbackModels(value: JsonValue | undefined): readonly string[] {
  if (value === undefined || value === null) return [];
  const models = parseStrings(value, "models");
  if (models.length <= FALLBACK_MODELS_MAX) return models;
  throw refuseField("models", `must name at most ${FALLBACK_MODELS_MAX} models`);
}

function parseEndUser(body: JsonObject): string {
  const metadata = body.metadata;
  if (metadata === undefined || metadata === null) return "";
  const { user_id: userId } = parseObject(metadata, "metadata");
  return parseOptionalString(userId, "metadata.user_id");
}

function listParameters(body: JsonObject): string[] {
  const names: string[] = [];
  const has = (field: string) => body[field] !== undefined && body[field] !== null;
  const { tools, output_config: outputConfig } = body;
  const config = isJsonObject(outputConfig) ? outputConfig : {};
  if (Array.isArray(tools) && tools.length > 0) names.push("tools");
  if (has("tool_choice")) names.push("tool_choice");
  if (has("output_format") || config.format) names.push("response_format");
  if (has("thinking") || config.effort) names.push("reasoning");
  for (const field in body) {
    if (TYPED_FIELDS.has(field) || !has(field)) continue;
    names.push("provider_options");
    break;
  }
  for (const field of ["max_tokens", "temperature", "top_p", "top_k"]) {
    if (has(field)) names.push(field);
  }
  if (has("stop_sequences")) names.push("stop");
  return names;
}

function parseChat(body: JsonObject, fallbackModels: readonly string[]): Chat {
  const { tools, extras } = parseTools(body.tools);
  const chat: Chat = {
    $typeName: "weir.v1.Chat",
    model: parseString(body.model, "model"),
    fallbackModels: [...fallbackModels],
    messages: parseMessages(body),
    sampling: parseSampling(body),
    tools,
    toolChoice: parseToolChoice(body.tool_choice),
    responseFormat: parseResponseFormat(body),
    reasoning: parseReasoning(body),
    routing: readRouting(body.provider),
    labels: {},
    sessionId: parseOptionalString(body.session_id, "session_id"),
    endUser: parseEndUser(body),
    providerOptions: "",
    modalities: [],
  };
  const options = collectProviderOptions(body, extras);
  if (Object.keys(options).length > 0) {
    chat.providerOptions = encodeJson({ anthropic: options }, "request");
  }
  return chat;
}

function parseMessages(body: JsonObject): Message[] {
  const messages: Message[] = [];
  const system = body.system;
  if (system !== undefined && system !== null) {
    messages.push(createMessage(Role.SYSTEM, system, "system"));
  }
  const turns = parseArray(body.messages, "messages");
  turns.forEach((item, index) => {
    const path = `messages[${index}]`;
    const message = parseObject(item, path);
    const role = roles.get(parseString(message.role, `${path}.role`)) ?? Role.USER;
    messages.push(createMessage(role, message.content, `${path}.content`));
  });
  return messages;
}

const roles = new Map<string, Role>([
  ["user", Role.USER],
  ["assistant", Role.ASSISTANT],
  ["system", Role.SYSTEM],
]);

function createMessage(role: Role, content: JsonValue | undefined, path: string): Message {
  return { $typeName: "weir.v1.Message", role, parts: parseContent(content, path), name: "" };
}

function parseSampling(body: JsonObject): Sampling {
  const stop = body.stop_sequences;
  const sampling: Sampling = {
    $typeName: "weir.v1.Sampling",
    stop: stop === undefined || stop === null ? [] : parseStrings(stop, "stop_sequences"),
    logitBias: {},
  };
  const maxTokens = parseOptionalInt(body.max_tokens, "max_tokens", 1);
  const temperature = parseOptionalNumber(body.temperature, "temperature");
  const topP = parseOptionalNumber(body.top_p, "top_p");
  const topK = parseOptionalInt(body.top_k, "top_k", 0);
  if (maxTokens !== undefined) sampling.maxTokens = maxTokens;
  if (temperature !== undefined) sampling.temperature = temperature;
  if (topP !== undefined) sampling.topP = topP;
  if (topK !== undefined) sampling.topK = topK;
  return sampling;
}

/** `output_format` is the older place of `output_config.format`. */
function parseResponseFormat(body: JsonObject): ResponseFormat | undefined {
  const config = parseOptionalObject(body.output_config, "output_config");
  const path = config.format ? "output_config.format" : "output_format";
  const format = parseOptionalObject(config.format ?? body.output_format, path);
  if (format.type === undefined) return undefined;
  if (format.type !== "json_schema") throw refuseField(`${path}.type`, "must be json_schema");
  return {
    $typeName: "weir.v1.ResponseFormat",
    format: {
      case: "jsonSchema",
      value: {
        $typeName: "weir.v1.JsonSchemaFormat",
        name: "",
        description: "",
        schema: encodeJson(parseObject(format.schema, `${path}.schema`), `${path}.schema`),
        strict: true,
      },
    },
  };
}

const efforts = new Map<JsonValue | undefined, Reasoning_Effort>([
  ["low", Reasoning_Effort.LOW],
  ["medium", Reasoning_Effort.MEDIUM],
  ["high", Reasoning_Effort.HIGH],
  ["xhigh", Reasoning_Effort.MAX],
  ["max", Reasoning_Effort.MAX],
]);

function parseReasoning(body: JsonObject): Reasoning | undefined {
  const thinking = parseOptionalObject(body.thinking, "thinking");
  const { effort } = parseOptionalObject(body.output_config, "output_config");
  const type = parseOptionalString(thinking.type, "thinking.type");
  const word = parseOptionalString(effort, "output_config.effort");
  if (type === "" && word === "") return undefined;
  const disabled = type === "disabled";
  const reasoning: Reasoning = {
    $typeName: "weir.v1.Reasoning",
    effort: disabled ? Reasoning_Effort.NONE : (efforts.get(word) ?? Reasoning_Effort.UNSPECIFIED),
    exclude: thinking.display === "omitted",
    rawEffort: word === "xhigh" ? word : "",
  };
  const budget = parseOptionalInt(thinking.budget_tokens, "thinking.budget_tokens", 1);
  if (type === "enabled" && budget === undefined) {
    throw refuseField("thinking.budget_tokens", "is required");
  }
  if (budget !== undefined) reasoning.maxTokens = budget;
  return reasoning;
}

/**
 * Everything that `weir.v1.Chat` has no place for, under its own name. `thinking` and
 * `output_config.effort` are kept beside their typed form wherever that says less, so that an
 * Anthropic target gets them as they were.
 */
function collectProviderOptions(body: JsonObject, extras: JsonObject): JsonObject {
  const options: Record<string, JsonValue | undefined> = {};
  for (const field in body) if (!TYPED_FIELDS.has(field)) options[field] = body[field];
  const { thinking, output_config: outputConfig, metadata } = body;
  if (isJsonObject(thinking) && !isPlainThinking(thinking)) options.thinking = thinking;
  if (isJsonObject(outputConfig)) {
    const { format: _, ...rest } = outputConfig;
    if (Object.keys(rest).length > 0) options.output_config = rest;
  }
  if (isJsonObject(metadata)) {
    const { user_id: _, ...rest } = metadata;
    if (Object.keys(rest).length > 0) options.metadata = rest;
  }
  if (Object.keys(extras).length > 0) options.tools = extras;
  return options;
}

/** True when `weir.v1.Reasoning` says all that is in it. */
function isPlainThinking(thinking: JsonObject): boolean {
  const type = thinking.type;
  if (type === "disabled") return true;
  return type === "enabled" && Object.keys(thinking).length === 2;
}

function parseOptionalObject(value: JsonValue | undefined, path: string): JsonObject {
  return value === undefined || value === null ? {} : parseObject(value, path);
}
