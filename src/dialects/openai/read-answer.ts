import {
  type Choice,
  type ContentPart,
  type Image,
  Role,
  type Text,
} from "../../../gen/weir/v1/chat_pb.ts";
import type { CreateChatResponse } from "../../../gen/weir/v1/chat_service_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import type { ChatEvent } from "../../mesh/chunk.ts";
import { MeshError } from "../../mesh/errors.ts";
import { explodeAnswer } from "../../mesh/explode.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import { createTimestamp } from "../../mesh/record.ts";
import type { AnswerReading } from "../dialect.ts";
import { createBlob, readBlobUrl } from "./blob.ts";
import { readCitations } from "./citation.ts";
import { createGarbled, readErrorInside } from "./errors.ts";
import { type Field, isJsonArray } from "./field.ts";
import { createUnknownFinish, readFinish } from "./finish.ts";
import { readLogprobs } from "./logprobs.ts";
import { createPart, createReasoningPart, createTextPart, readToolCall } from "./read-message.ts";
import { readReasoning } from "./reasoning.ts";
import { readUsage } from "./usage.ts";

/**
 * A 2xx body → answer; its message is decoded only when somebody wants it. Throws UPSTREAM_GARBLED.
 */
export function readAnswer(body: Buffer, ask: ChatAsk): AnswerReading {
  const wire = parseAnswer(body);
  const choices = wire.choices;
  if (!isJsonArray(choices) || choices.length === 0) {
    if (wire.error != null || wire.object === "error") throw readErrorInside(wire);
    throw createGarbled("the answer has no choices");
  }
  const first = choices[0];
  if (!isJsonObject(first)) throw createGarbled("choices[0] is no object");
  let response: CreateChatResponse | undefined;
  let events: ChatEvent[] | undefined;
  const answer = (): CreateChatResponse => {
    response ??= decodeAnswer(wire, choices);
    return response;
  };
  return {
    chunk: {
      wire: ask.dialect === "openai" ? { dialect: "openai", bytes: body } : undefined,
      content: true,
      events: () => {
        events ??= explodeAnswer(answer());
        return events;
      },
      answer,
    },
    end: {
      finish: readChoiceFinish(first),
      usage: readUsage(wire.usage),
      upstreamId: readWord(wire.id),
      modelVersion: readWord(wire.model),
    },
  };
}

function parseAnswer(body: Buffer): JsonObject {
  let parsed: JsonValue;
  try {
    parsed = JSON.parse(body.toString("utf8"));
  } catch (cause) {
    throw createGarbled("the answer is not JSON", cause);
  }
  if (!isJsonObject(parsed)) throw createGarbled("the answer is no object");
  return parsed;
}

/** Fields of an answer that have a place in the message. */
const decoded = new Set(["id", "object", "created", "model", "choices", "usage"]);

function decodeAnswer(wire: JsonObject, choices: readonly JsonValue[]): CreateChatResponse {
  const fields: { [name: string]: Field } = {};
  let left = 0;
  for (const name in wire) {
    if (decoded.has(name) || wire[name] == null) continue;
    fields[name] = wire[name];
    left += 1;
  }
  const response: CreateChatResponse = {
    $typeName: "weir.v1.CreateChatResponse",
    choices: choices.map((choice, at) => {
      if (!isJsonObject(choice)) throw createGarbled(`choices[${at}] is no object`);
      return decodeChoice(choice, at);
    }),
    upstreamModelVersion: readWord(wire.model),
    vendorFields: left === 0 ? "" : JSON.stringify(fields),
  };
  const usage = readUsage(wire.usage);
  if (usage !== undefined) response.usage = usage;
  const { created } = wire;
  if (typeof created === "number" && created > 0) {
    response.createTime = createTimestamp(created * 1000);
  }
  return response;
}

function decodeChoice(wire: JsonObject, at: number): Choice {
  const message = isJsonObject(wire.message) ? wire.message : {};
  const logprobs = isJsonObject(wire.logprobs) ? wire.logprobs : {};
  return {
    $typeName: "weir.v1.Choice",
    index: typeof wire.index === "number" ? wire.index : at,
    message: {
      $typeName: "weir.v1.Message",
      role: Role.ASSISTANT,
      parts: decodeParts(message, `choices[${at}].message`),
      name: "",
    },
    finish: readChoiceFinish(wire),
    logprobs: readLogprobs(logprobs.content),
    refusalLogprobs: readLogprobs(logprobs.refusal),
  };
}

function readChoiceFinish(choice: JsonObject): ReturnType<typeof readFinish> {
  const message = isJsonObject(choice.message) ? choice.message : {};
  const { finish_reason: word, native_finish_reason: native } = choice;
  if (typeof word !== "string") return createUnknownFinish();
  const { tool_calls: calls } = message;
  return readFinish(word, native, isJsonArray(calls) && calls.length > 0);
}

function decodeParts(message: JsonObject, field: string): ContentPart[] {
  const parts = readReasoning(message).map(createReasoningPart);
  const texts = readTexts(message.content, parts);
  if (texts !== "") parts.push(createTextPart(texts));
  const citations = readCitations(message.annotations);
  if (citations.length > 0) findText(parts).citations = citations;
  if (typeof message.refusal === "string" && message.refusal !== "") {
    const { refusal: text } = message;
    parts.push(createPart({ case: "refusal", value: { $typeName: "weir.v1.Refusal", text } }));
  }
  if (isJsonObject(message.audio)) parts.push(decodeAudio(message.audio));
  for (const image of readImages(message.images)) {
    parts.push(createPart({ case: "image", value: image }));
  }
  try {
    decodeToolCalls(message, field, parts);
  } catch (cause) {
    // The same reader serves requests, where this is the caller's fault.
    if (!(cause instanceof MeshError)) throw cause;
    throw createGarbled(cause.message, cause);
  }
  return parts;
}

function decodeToolCalls(message: JsonObject, field: string, parts: ContentPart[]): void {
  if (isJsonArray(message.tool_calls)) {
    message.tool_calls.forEach((call, at) => {
      if (!isJsonObject(call)) throw createGarbled(`${field}.tool_calls[${at}] is no object`);
      const value = readToolCall(call, `${field}.tool_calls[${at}]`);
      if (value.id === "") value.id = `call_${at}`;
      parts.push(createPart({ case: "toolCall", value }));
    });
  }
  if (!isJsonObject(message.function_call)) return;
  const value = readToolCall({ id: "call_0", function: message.function_call }, field);
  parts.push(createPart({ case: "toolCall", value }));
}

/** The text of `content`. Mistral gives a list with its thoughts in it; these go into `parts`. */
function readTexts(content: Field, parts: ContentPart[]): string {
  if (typeof content === "string") return content;
  if (!isJsonArray(content)) return "";
  let text = "";
  for (const chunk of content) {
    if (!isJsonObject(chunk)) continue;
    if (chunk.type === "text") text += readWord(chunk.text);
    if (chunk.type !== "thinking") continue;
    const thought =
      typeof chunk.thinking === "string" ? chunk.thinking : readTexts(chunk.thinking, []);
    parts.push(
      createReasoningPart({
        $typeName: "weir.v1.ReasoningPart",
        text: thought,
        signature: "",
        redacted: "",
      }),
    );
  }
  return text;
}

function findText(parts: ContentPart[]): Text {
  for (const { part } of parts) if (part.case === "text") return part.value;
  const content = createTextPart("");
  parts.push(content);
  if (content.part.case !== "text") throw new Error("a text part is a text");
  return content.part.value;
}

function decodeAudio(audio: JsonObject): ContentPart {
  const expires = audio.expires_at;
  return createPart({
    case: "audio",
    value: {
      $typeName: "weir.v1.Audio",
      blob: createBlob({ case: "data", value: Buffer.from(readWord(audio.data), "base64") }, ""),
      id: readWord(audio.id),
      transcript: readWord(audio.transcript),
      ...(typeof expires === "number" ? { expireTime: createTimestamp(expires * 1000) } : {}),
    },
  });
}

/** OpenRouter's pictures in an answer; those that make no sense are passed over. */
export function readImages(images: Field): Image[] {
  if (!isJsonArray(images)) return [];
  const read: Image[] = [];
  for (const image of images) {
    const address = isJsonObject(image) ? image.image_url : undefined;
    const url = isJsonObject(address) ? address.url : undefined;
    if (typeof url !== "string" || (url.startsWith("data:") && !url.includes(","))) continue;
    const blob = readBlobUrl(url, "images");
    read.push({ $typeName: "weir.v1.Image", blob, detail: "" });
  }
  return read;
}

function readWord(value: Field): string {
  return typeof value === "string" ? value : "";
}
