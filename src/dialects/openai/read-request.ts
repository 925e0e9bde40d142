import type { Chat, Reasoning, ResponseFormat, Sampling } from "../../../gen/weir/v1/chat_pb.ts";
import { Reasoning_Effort as Effort } from "../../../gen/weir/v1/chat_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import { isJsonObject, type JsonObject } from "../../mesh/json.ts";
import {
  type Field,
  readArray,
  readBoolean,
  readInteger,
  readNumber,
  readObject,
  readString,
  readStrings,
  refuseField,
  requireObject,
  requireString,
  type WireObject,
  writeJson,
} from "./field.ts";
import { readMessages } from "./read-message.ts";
import { readRouting } from "./read-routing.ts";
import { readToolChoice, readTools } from "./read-tools.ts";

/** What of an ask has been read already. */
type Known = Pick<ChatAsk, "model" | "fallbackModels" | "labels" | "sessionId" | "endUser">;

/** The whole message of a body. Throws INVALID_REQUEST naming the field. */
export function readChat(body: JsonObject, known: Known): Chat {
  const left = new Set(Object.keys(body));
  for (const name of decoded) left.delete(name);
  const chat: Chat = {
    $typeName: "weir.v1.Chat",
    model: known.model,
    fallbackModels: [...known.fallbackModels],
    messages: readMessages(readArray(body.messages, "messages")),
    tools: readTools(body),
    labels: { ...known.labels },
    sessionId: known.sessionId,
    endUser: known.endUser,
    providerOptions: "",
    modalities: readStrings(body.modalities, "modalities"),
  };
  const sampling = readSampling(body);
  if (sampling !== undefined) chat.sampling = sampling;
  const choice = readToolChoice(body);
  if (choice === "vendor") left.add("tool_choice");
  else if (choice !== undefined) chat.toolChoice = choice;
  const format = readResponseFormat(body.response_format);
  if (format === "vendor") left.add("response_format");
  else if (format !== undefined) chat.responseFormat = format;
  const reasoning = readReasoningWish(body);
  if (reasoning !== undefined) chat.reasoning = reasoning;
  const routing = readRouting(body.provider);
  if (routing !== undefined) chat.routing = routing;
  const audio = readObject(body.audio, "audio");
  if (audio !== undefined) {
    const format = requireString(audio.format, "audio.format");
    const { voice } = audio;
    // A voice of one's own is an object with an id.
    const id = isJsonObject(voice) ? voice.id : voice;
    chat.audioOutput = {
      $typeName: "weir.v1.AudioOutput",
      voice: requireString(id, "audio.voice"),
      format,
    };
  }
  chat.providerOptions = writeOptions(body, left);
  return chat;
}

/** Fields that have a place in the message, or that Weir deals with itself. */
const decoded = [
  ...["model", "messages", "stream", "stream_options", "models", "provider", "session_id"],
  ...["user", "safety_identifier", "metadata", "usage", "tools", "functions", "tool_choice"],
  ...["function_call", "parallel_tool_calls", "response_format", "reasoning", "reasoning_effort"],
  ...["modalities", "audio", "max_tokens", "max_completion_tokens", "temperature", "top_p"],
  ...["top_k", "min_p", "frequency_penalty", "presence_penalty", "seed", "stop", "n"],
  ...["logprobs", "top_logprobs", "logit_bias"],
];

/**
 * What has no place in the message is kept for vendors of this dialect, and listed by all others.
 */
function writeOptions(body: JsonObject, names: Iterable<string>): string {
  const options: WireObject = {};
  let count = 0;
  for (const name of names) {
    const value = body[name];
    if (value === undefined || value === null) continue;
    options[name] = value;
    count += 1;
  }
  return count === 0 ? "" : writeJson({ openai: options }, "request");
}

function readSampling(body: JsonObject): Sampling | undefined {
  const sampling: Sampling = {
    $typeName: "weir.v1.Sampling",
    stop: typeof body.stop === "string" ? [body.stop] : readStrings(body.stop, "stop"),
    logitBias: readLogitBias(body.logit_bias),
  };
  const before = Object.keys(sampling).length;
  const maxTokens =
    readInteger(body.max_completion_tokens, "max_completion_tokens") ??
    readInteger(body.max_tokens, "max_tokens");
  if (maxTokens !== undefined) sampling.maxTokens = maxTokens;
  const temperature = readNumber(body.temperature, "temperature");
  if (temperature !== undefined) sampling.temperature = temperature;
  const topP = readNumber(body.top_p, "top_p");
  if (topP !== undefined) sampling.topP = topP;
  const topK = readInteger(body.top_k, "top_k");
  if (topK !== undefined) sampling.topK = topK;
  const minP = readNumber(body.min_p, "min_p");
  if (minP !== undefined) sampling.minP = minP;
  const frequencyPenalty = readNumber(body.frequency_penalty, "frequency_penalty");
  if (frequencyPenalty !== undefined) sampling.frequencyPenalty = frequencyPenalty;
  const presencePenalty = readNumber(body.presence_penalty, "presence_penalty");
  if (presencePenalty !== undefined) sampling.presencePenalty = presencePenalty;
  const seed = readNumber(body.seed, "seed");
  if (seed !== undefined) {
    if (!Number.isSafeInteger(seed)) refuseField("seed", "a whole number below 2^53");
    sampling.seed = BigInt(seed);
  }
  const n = readInteger(body.n, "n");
  if (n !== undefined) sampling.n = n;
  const logprobs = readBoolean(body.logprobs, "logprobs");
  if (logprobs !== undefined) sampling.logprobs = logprobs;
  const topLogprobs = readInteger(body.top_logprobs, "top_logprobs");
  if (topLogprobs !== undefined) sampling.topLogprobs = topLogprobs;
  const set = Object.keys(sampling).length > before;
  const given = sampling.stop.length > 0 || Object.keys(sampling.logitBias).length > 0;
  return set || given ? sampling : undefined;
}

function readLogitBias(value: Field): Record<string, number> {
  const bias: Record<string, number> = {};
  for (const [token, weight] of Object.entries(readObject(value, "logit_bias") ?? {})) {
    bias[token] = readNumber(weight, `logit_bias.${token}`) ?? 0;
  }
  return bias;
}

/** `vendor` for a form that the message has no place for. */
function readResponseFormat(value: Field): ResponseFormat | "vendor" | undefined {
  const wire = readObject(value, "response_format");
  if (wire === undefined) return undefined;
  switch (requireString(wire.type, "response_format.type")) {
    case "text":
      return createFormat({ case: "text", value: { $typeName: "weir.v1.TextFormat" } });
    case "json_object":
      return createFormat({ case: "jsonObject", value: { $typeName: "weir.v1.JsonObjectFormat" } });
    case "json_schema": {
      const field = "response_format.json_schema";
      const form = requireObject(wire.json_schema, field);
      const strict = readBoolean(form.strict, `${field}.strict`);
      return createFormat({
        case: "jsonSchema",
        value: {
          $typeName: "weir.v1.JsonSchemaFormat",
          name: readString(form.name, `${field}.name`) ?? "",
          description: readString(form.description, `${field}.description`) ?? "",
          schema: writeJson(readObject(form.schema, `${field}.schema`) ?? {}, `${field}.schema`),
          ...(strict === undefined ? {} : { strict }),
        },
      });
    }
    default:
      return "vendor";
  }
}

function createFormat(format: ResponseFormat["format"]): ResponseFormat {
  return { $typeName: "weir.v1.ResponseFormat", format };
}

const efforts = new Map<string, Effort>([
  ["none", Effort.NONE],
  ["minimal", Effort.MINIMAL],
  ["low", Effort.LOW],
  ["medium", Effort.MEDIUM],
  ["high", Effort.HIGH],
  ["max", Effort.MAX],
]);

/** OpenAI's `reasoning_effort`, or OpenRouter's `reasoning`. */
function readReasoningWish(body: JsonObject): Reasoning | undefined {
  const wish = readObject(body.reasoning, "reasoning");
  const word =
    readString(body.reasoning_effort, "reasoning_effort") ??
    readString(wish?.effort, "reasoning.effort");
  if (wish === undefined && word === undefined) return undefined;
  const enabled = readBoolean(wish?.enabled, "reasoning.enabled");
  const reasoning: Reasoning = {
    $typeName: "weir.v1.Reasoning",
    effort: Effort.UNSPECIFIED,
    exclude: readBoolean(wish?.exclude, "reasoning.exclude") ?? false,
    rawEffort: "",
  };
  if (word !== undefined) {
    const effort = efforts.get(word);
    reasoning.effort = effort ?? (word === "xhigh" ? Effort.MAX : Effort.UNSPECIFIED);
    if (effort === undefined) reasoning.rawEffort = word;
  } else if (enabled === false) reasoning.effort = Effort.NONE;
  else if (enabled === true) reasoning.effort = Effort.MEDIUM;
  const maxTokens = readInteger(wish?.max_tokens, "reasoning.max_tokens");
  if (maxTokens !== undefined) reasoning.maxTokens = maxTokens;
  return reasoning;
}

/** The word for an effort; undefined when none was given. */
export function writeEffort(reasoning: Reasoning): string | undefined {
  if (reasoning.rawEffort !== "") return reasoning.rawEffort;
  if (reasoning.effort === Effort.MAX) return "xhigh";
  for (const [word, effort] of efforts) if (effort === reasoning.effort) return word;
  return undefined;
}
