import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Choice, ContentPart, ReasoningPart } from "../../../gen/weir/v1/chat_pb.ts";
import type { CreateChatResponse } from "../../../gen/weir/v1/chat_service_pb.ts";
import type { JsonObject } from "../../mesh/json.ts";
import { toBase64, writeBlobUrl } from "./blob.ts";
import { writeCitation } from "./citation.ts";
import type { WireObject } from "./field.ts";
import { writeFinish } from "./finish.ts";
import { writeLogprobs } from "./logprobs.ts";
import { writeReasoningDetails } from "./reasoning.ts";
import { writeUsage } from "./usage.ts";

/**
 * A whole answer as OpenAI's `chat.completion`, with OpenRouter's additions where there is
 * something to say.
 */
export function writeAnswer(response: CreateChatResponse): JsonObject {
  const { decision } = response;
  const wire: WireObject = {
    id: decision?.upstreamId || `chatcmpl-${decision?.requestId ?? ""}`,
    object: "chat.completion",
    created: writeCreated(response),
    model: decision?.model || response.upstreamModelVersion,
    choices: response.choices.map(writeChoice),
    usage: writeUsage(response.usage, response.cost),
  };
  if (decision?.provider) wire.provider = decision.provider;
  return wire;
}

/** Seconds since 1970; 0 when nobody knows. */
export function writeCreated(response: CreateChatResponse): number {
  const { createTime } = response;
  return createTime === undefined ? 0 : Math.floor(timestampMs(createTime) / 1000);
}

function writeChoice(choice: Choice): WireObject {
  const finish = writeFinish(choice.finish);
  const wire: WireObject = {
    index: choice.index,
    message: writeMessage(choice.message?.parts ?? []),
    logprobs: writeLogprobs(choice.logprobs, choice.refusalLogprobs),
    finish_reason: finish,
  };
  const raw = choice.finish?.raw ?? "";
  if (raw !== "" && raw !== finish) wire.native_finish_reason = raw;
  return wire;
}

function writeMessage(parts: readonly ContentPart[]): WireObject {
  const message: WireObject = { role: "assistant", content: null, refusal: null };
  const thoughts: ReasoningPart[] = [];
  const calls: WireObject[] = [];
  const citations: WireObject[] = [];
  const images: WireObject[] = [];
  let text: string | undefined;
  for (const { part } of parts) {
    switch (part.case) {
      case "text": {
        const offset: number = text?.length ?? 0;
        for (const citation of part.value.citations)
          citations.push(writeCitation(citation, offset));
        text = (text ?? "") + part.value.text;
        break;
      }
      case "reasoning":
        thoughts.push(part.value);
        break;
      case "toolCall":
        calls.push(writeToolCall(part.value));
        break;
      case "refusal":
        message.refusal = part.value.text;
        break;
      case "audio":
        message.audio = writeAudio(part.value);
        break;
      case "image": {
        const url =
          part.value.blob === undefined ? undefined : writeBlobUrl(part.value.blob, "image/png");
        if (url !== undefined) images.push({ type: "image_url", image_url: { url } });
        break;
      }
      default:
        // A result, a file or another dialect's piece: an answer of OpenAI's has no place for it.
        break;
    }
  }
  message.content = text ?? (calls.length > 0 || message.refusal || message.audio ? null : "");
  if (citations.length > 0) message.annotations = citations;
  if (images.length > 0) message.images = images;
  if (calls.length > 0) message.tool_calls = calls;
  writeThoughts(thoughts, message);
  return message;
}

function writeThoughts(thoughts: readonly ReasoningPart[], message: WireObject): void {
  if (thoughts.length === 0) return;
  const text = thoughts.map((thought) => thought.text).join("");
  if (text !== "") message.reasoning_content = text;
  if (thoughts.some(({ signature, redacted }) => signature !== "" || redacted !== "")) {
    message.reasoning_details = writeReasoningDetails(thoughts, 0);
  }
}

type PartValue<Case extends string> = Extract<
  ContentPart["part"],
  { case: Case; value: unknown }
>["value"];

function writeToolCall(call: PartValue<"toolCall">): WireObject {
  const { id, name } = call;
  if (call.custom) return { id, type: "custom", custom: { name, input: call.arguments } };
  const wire: WireObject = { id, type: "function", function: { name, arguments: call.arguments } };
  if (call.signature !== "") {
    wire.extra_content = { google: { thought_signature: call.signature } };
  }
  return wire;
}

function writeAudio(audio: PartValue<"audio">): WireObject {
  const source = audio.blob?.source;
  const expires = audio.expireTime;
  return {
    id: audio.id,
    data: source?.case === "data" ? toBase64(source.value) : "",
    transcript: audio.transcript,
    expires_at: expires === undefined ? 0 : Math.floor(timestampMs(expires) / 1000),
  };
}
