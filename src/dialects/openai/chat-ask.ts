import type { Chat } from "../../../gen/weir/v1/chat_pb.ts";
import type { AskBounds, ChatAsk } from "../../mesh/ask.ts";
import { isJsonObject, type JsonObject } from "../../mesh/json.ts";
import { boundChatBody } from "./bound-ask.ts";
import {
  type Field,
  isJsonArray,
  readBoolean,
  readInteger,
  readNumber,
  readObject,
  readString,
  readStrings,
  refuseField,
} from "./field.ts";
import { readChat } from "./read-request.ts";

/**
 * Reads a body of `/v1/chat/completions`: only what the journey needs, and the kinds of the fields
 * that it does not pass on unseen. The message is decoded when somebody wants it. Throws
 * INVALID_REQUEST naming the field.
 */
export function readChatAsk(body: JsonObject, bytes: number): ChatAsk {
  for (const name in body) {
    const check = checks.get(name);
    if (check !== undefined) check(body[name], name);
  }
  checkMessages(body.messages);
  return new OpenAiChatAsk(body, bytes);
}

class OpenAiChatAsk implements ChatAsk {
  readonly dialect = "openai";
  readonly model: string;
  readonly fallbackModels: readonly string[];
  readonly stream: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly sessionId: string;
  readonly endUser: string;
  readonly bytes: number;
  readonly wire: JsonObject;
  #chat: Chat | undefined;

  constructor(body: JsonObject, bytes: number) {
    const { model, fallbackModels } = readModels(body);
    this.model = model;
    this.fallbackModels = fallbackModels;
    this.stream = body.stream === true;
    this.labels = readLabels(body.metadata);
    this.sessionId = typeof body.session_id === "string" ? body.session_id : "";
    this.endUser = readEndUser(body);
    this.bytes = bytes;
    this.wire = body;
  }

  parameters(): readonly string[] {
    return listParameters(this.wire);
  }

  routing(): Chat["routing"] {
    return this.wire.provider == null ? undefined : this.chat().routing;
  }

  chat(): Chat {
    this.#chat ??= readChat(this.wire, this);
    return this.#chat;
  }

  bounds(): AskBounds {
    return boundChatBody(this.wire);
  }
}

/** Fields whose kind is checked at the door, since policies, quota or Weir itself judge by them. */
const checks = new Map<string, (value: Field, field: string) => unknown>([
  ["stream", readBoolean],
  ["stream_options", readObject],
  ["models", readStrings],
  ["provider", readObject],
  ["metadata", readObject],
  ["session_id", readString],
  ["user", readString],
  ["max_tokens", readInteger],
  ["max_completion_tokens", readInteger],
  ["n", readInteger],
  ["temperature", readNumber],
  ["top_p", readNumber],
  ["tools", (value, field) => checkArray(value, field)],
  ["functions", (value, field) => checkArray(value, field)],
]);

function checkArray(value: Field, field: string): void {
  if (value !== null && !isJsonArray(value)) refuseField(field, "an array");
}

function checkMessages(messages: Field): void {
  if (!isJsonArray(messages) || messages.length === 0) {
    refuseField("messages", "an array with at least one message");
  }
  for (let at = 0; at < messages.length; at += 1) {
    const message = messages[at];
    if (!isJsonObject(message)) refuseField(`messages[${at}]`, "an object");
    if (typeof message.role !== "string") refuseField(`messages[${at}].role`, "a string");
  }
}

const NO_MODELS: readonly string[] = [];

/** `models`, as OpenRouter has it, names the fallbacks; without `model` its first is the model. */
function readModels(body: JsonObject): { model: string; fallbackModels: readonly string[] } {
  const { model } = body;
  const models = body.models === undefined ? NO_MODELS : readStrings(body.models, "models");
  if (model === undefined || model === null) {
    const [first, ...others] = models;
    if (!first) refuseField("model", "the name of a model");
    return { model: first, fallbackModels: others };
  }
  if (typeof model !== "string" || model === "") refuseField("model", "the name of a model");
  return {
    model,
    fallbackModels: models.length === 0 ? models : models.filter((name) => name !== model),
  };
}

const NO_LABELS: Readonly<Record<string, string>> = Object.freeze({});
const LABELS_MAX = 32;

/** The entries of `metadata` that can be labels; all of it goes on to a vendor of this dialect. */
export function readLabels(metadata: Field): Readonly<Record<string, string>> {
  if (!isJsonObject(metadata)) return NO_LABELS;
  const labels: Record<string, string> = {};
  let count = 0;
  for (const [name, value] of Object.entries(metadata)) {
    if (typeof value !== "string" || !/^[a-z0-9_.-]{1,63}$/.test(name)) continue;
    if (Buffer.byteLength(value) > 255) continue;
    count += 1;
    if (count > LABELS_MAX) break;
    labels[name] = value;
  }
  return labels;
}

/** OpenAI now calls it `safety_identifier`. */
function readEndUser(body: JsonObject): string {
  if (typeof body.user === "string") return body.user;
  return typeof body.safety_identifier === "string" ? body.safety_identifier : "";
}

/**
 * Fields of the wire by the names that policies know them by; an empty name stands for what is no
 * parameter.
 */
const parameterNames = new Map<string, string>([
  ...["model", "messages", "stream", "stream_options", "models", "provider"].map(noParameter),
  ...["session_id", "user", "safety_identifier", "metadata", "usage"].map(noParameter),
  ["tools", "tools"],
  ["functions", "tools"],
  ["tool_choice", "tool_choice"],
  ["function_call", "tool_choice"],
  ["parallel_tool_calls", "tool_choice"],
  ["response_format", "response_format"],
  ["reasoning", "reasoning"],
  ["reasoning_effort", "reasoning"],
  ["modalities", "modalities"],
  ["audio", "audio_output"],
  ["max_tokens", "max_tokens"],
  ["max_completion_tokens", "max_tokens"],
  ...["temperature", "top_p", "top_k", "min_p", "frequency_penalty"].map(sameName),
  ...["presence_penalty", "seed", "stop", "n", "logprobs", "top_logprobs"].map(sameName),
  ["logit_bias", "logit_bias"],
]);

function noParameter(name: string): [string, string] {
  return [name, ""];
}

function sameName(name: string): [string, string] {
  return [name, name];
}

/** Names of the parameters that a body sets, each once. */
export function listParameters(body: JsonObject): string[] {
  const names: string[] = [];
  for (const field in body) {
    const value = body[field];
    if (value === undefined || value === null || isEmpty(value)) continue;
    const name = parameterNames.get(field) ?? "provider_options";
    if (name !== "" && !names.includes(name)) names.push(name);
  }
  return names;
}

function isEmpty(value: Field): boolean {
  if (isJsonArray(value)) return value.length === 0;
  return isJsonObject(value) && Object.keys(value).length === 0;
}
