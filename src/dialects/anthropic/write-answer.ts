import type { ContentPart, Decision } from "../../../gen/weir/v1/chat_pb.ts";
import type { CreateChatResponse } from "../../../gen/weir/v1/chat_service_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import { createUsage } from "../../mesh/usage.ts";
import { mapStopReason } from "./finish.ts";
import { writeUsage } from "./usage.ts";
import {
  decodeCallExtras,
  parseArguments,
  parseVendorJson,
  writeCitations,
} from "./write-content.ts";

/**
 * A whole answer as Anthropic's message. Of several answers the first: the dialect has no word for
 * more.
 */
export function writeAnswer(response: CreateChatResponse): JsonObject {
  const choice = response.choices.find(({ index }) => index === 0);
  const content = writeAnswerBlocks(choice?.message?.parts ?? []);
  const calledTools = content.some((block) => block.type === "tool_use");
  const finish = choice?.finish;
  const fields = parseVendorFields(response.vendorFields);
  const { usage: counts, ...others } = fields;
  return {
    ...writeHead(response.decision, response.upstreamModelVersion),
    content,
    stop_reason: mapStopReason(finish, calledTools),
    stop_sequence: finish?.stopSequence || null,
    ...others,
    usage: {
      ...writeUsage(response.usage ?? createUsage()),
      ...(isJsonObject(counts) ? counts : {}),
    },
  };
}

/** What a message says of itself, before its content. */
export function writeHead(
  decision: Decision | undefined,
  modelVersion: string,
): Record<string, JsonValue> {
  return {
    id: writeId(decision),
    type: "message",
    role: "assistant",
    model: decision?.model || modelVersion,
  };
}

/** A citation block's JSON where it is Anthropic's, else one that says as much as there is. */
export function writeForeignCitation(citation: {
  uri: string;
  title: string;
  quote: string;
}): JsonObject {
  return {
    type: "web_search_result_location",
    url: citation.uri,
    title: citation.title || null,
    cited_text: citation.quote,
    encrypted_index: "",
  };
}

/**
 * Fields that only Anthropic's messages have. Those of other vendors' answers would mean nothing
 * here.
 */
const OWN_FIELDS = ["container", "context_management", "stop_details", "diagnostics", "usage"];

function parseVendorFields(text: string): JsonObject {
  if (text === "") return {};
  const fields: Record<string, JsonValue | undefined> = {};
  const all: unknown = JSON.parse(text);
  if (!isJsonObject(all)) return {};
  for (const name of OWN_FIELDS) if (all[name] !== undefined) fields[name] = all[name];
  return fields;
}

/** Anthropic's clients expect `msg_`; another vendor's identifier stays in the record. */
function writeId(decision: Decision | undefined): string {
  const upstreamId = decision?.upstreamId ?? "";
  if (upstreamId.startsWith("msg_")) return upstreamId;
  return `msg_${(decision?.requestId ?? "").replace(/^req_/, "")}`;
}

function writeAnswerBlocks(parts: readonly ContentPart[]): JsonObject[] {
  const blocks: JsonObject[] = [];
  for (const { part } of parts) {
    const block = writeAnswerBlock(part);
    if (block !== undefined) blocks.push(block);
  }
  return blocks;
}

function writeAnswerBlock(part: ContentPart["part"]): JsonObject | undefined {
  switch (part.case) {
    case "text": {
      const { text, citations } = part.value;
      if (citations.length === 0) return { type: "text", text };
      const written = citations.map(
        (citation) => writeCitations([citation])[0] ?? writeForeignCitation(citation),
      );
      return { type: "text", text, citations: written };
    }
    case "refusal":
      return { type: "text", text: part.value.text };
    case "reasoning": {
      const { text, signature, redacted } = part.value;
      if (redacted !== "") return { type: "redacted_thinking", data: redacted };
      return { type: "thinking", thinking: text, signature };
    }
    case "toolCall": {
      const { id, name, signature } = part.value;
      const input = parseArguments(part.value) ?? { invalid_json: part.value.arguments };
      return { type: "tool_use", id, name, input, ...decodeCallExtras(signature) };
    }
    case "audio":
      return part.value.transcript === ""
        ? undefined
        : { type: "text", text: part.value.transcript };
    case "vendor":
      return parseVendorJson(part.value);
    default:
      return undefined;
  }
}
