import type { ReasoningPart } from "../../../gen/weir/v1/chat_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import { isJsonArray, type WireObject } from "./field.ts";

/**
 * The thoughts of a message. OpenAI's own API has none; DeepSeek, vLLM and others say
 * `reasoning_content`, Groq and OpenRouter `reasoning`, and OpenRouter adds `reasoning_details`
 * with the proofs that some vendors want back.
 */
export function readReasoning(message: JsonObject): ReasoningPart[] {
  const text = readReasoningText(message);
  const parts = readReasoningDetails(message.reasoning_details).map(({ part }) => part);
  if (parts.length === 0) return text === "" ? [] : [createReasoning(text)];
  // Clients that add up a stream keep the text in one place and its proof in the other.
  if (text !== "" && parts.every((part) => part.text === "")) {
    const open = parts.find((part) => part.redacted === "");
    if (open === undefined) parts.unshift(createReasoning(text));
    else open.text = text;
  }
  return parts;
}

/** The text alone; empty when there is none. */
export function readReasoningText(message: JsonObject): string {
  const { reasoning_content: content, reasoning } = message;
  if (typeof content === "string" && content !== "") return content;
  return typeof reasoning === "string" ? reasoning : "";
}

/** One of OpenRouter's details with its number. */
export interface ReasoningDetail {
  readonly index: number;
  readonly part: ReasoningPart;
}

/** OpenRouter's `reasoning_details`; unknown kinds are passed over. */
export function readReasoningDetails(details: JsonValue | undefined): ReasoningDetail[] {
  if (!isJsonArray(details)) return [];
  const read: ReasoningDetail[] = [];
  details.forEach((detail, at) => {
    if (!isJsonObject(detail)) return;
    const part = createReasoning(readWord(detail.text) || readWord(detail.summary));
    part.signature = readWord(detail.signature);
    part.redacted = readWord(detail.data);
    if (part.text === "" && part.signature === "" && part.redacted === "") return;
    read.push({ index: typeof detail.index === "number" ? detail.index : at, part });
  });
  return read;
}

/** Thoughts as `reasoning_details`; `index` numbers the first. */
export function writeReasoningDetails(
  parts: readonly ReasoningPart[],
  index: number,
): WireObject[] {
  return parts.map((part, at) => {
    if (part.redacted !== "") {
      return { type: "reasoning.encrypted", data: part.redacted, index: index + at };
    }
    const detail: WireObject = { type: "reasoning.text", text: part.text, index: index + at };
    if (part.signature !== "") detail.signature = part.signature;
    return detail;
  });
}

export function createReasoning(text: string): ReasoningPart {
  return { $typeName: "weir.v1.ReasoningPart", text, signature: "", redacted: "" };
}

function readWord(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}
