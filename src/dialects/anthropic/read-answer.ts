import { type Choice, type ContentPart, Role } from "../../../gen/weir/v1/chat_pb.ts";
import type { CreateChatResponse } from "../../../gen/weir/v1/chat_service_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import { MeshError } from "../../mesh/errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import type { AnswerReading } from "../dialect.ts";
import { readErrorEvent } from "./errors.ts";
import { mapFinish } from "./finish.ts";
import { parseBlock } from "./read-content.ts";
import { readUsage } from "./usage.ts";

/**
 * A 2xx body of `/messages` as an answer, decoded only when somebody asks. Throws UPSTREAM_GARBLED.
 */
export function readAnswer(body: Buffer, ask: ChatAsk): AnswerReading {
  const message = parseMessage(body);
  const { stop_reason: stopReason, stop_sequence: stopSequence, usage } = message;
  const end = {
    finish: mapFinish(textOf(stopReason), textOf(stopSequence)),
    usage: readUsage(usage),
    upstreamId: textOf(message.id),
    modelVersion: textOf(message.model),
  };
  let answer: CreateChatResponse | undefined;
  const chunk = {
    wire: ask.dialect === "anthropic" ? { dialect: "anthropic" as const, bytes: body } : undefined,
    content: true,
    events: () => [],
    answer: () => {
      answer ??= decodeMessage(message);
      return answer;
    },
  };
  return { chunk, end };
}

/** Counts that `weir.v1.Usage` has a place for; the others go into `vendor_fields`. */
const TYPED_COUNTS = new Set([
  ...["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"],
  ...["cache_creation", "output_tokens_details", "server_tool_use"],
]);

/** Fields of a message that `weir.v1.CreateChatResponse` has a place for. */
const TYPED_FIELDS = new Set([
  ...["id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"],
]);

function parseMessage(body: Buffer): JsonObject {
  let message: unknown;
  try {
    message = JSON.parse(body.toString("utf8"));
  } catch (cause) {
    throw garbled("its answer is no JSON", cause);
  }
  if (!isJsonObject(message)) throw garbled("its answer is no object");
  if (message.type === "error") throw readErrorEvent(message);
  if (!Array.isArray(message.content)) throw garbled("its answer has no content");
  return message;
}

function decodeMessage(message: JsonObject): CreateChatResponse {
  const { content, stop_reason: stopReason, stop_sequence: stopSequence, usage } = message;
  const choice: Choice = {
    $typeName: "weir.v1.Choice",
    index: 0,
    message: {
      $typeName: "weir.v1.Message",
      role: Role.ASSISTANT,
      parts: decodeBlocks(content),
      name: "",
    },
    finish: mapFinish(textOf(stopReason), textOf(stopSequence)),
    logprobs: [],
    refusalLogprobs: [],
  };
  const response: CreateChatResponse = {
    $typeName: "weir.v1.CreateChatResponse",
    choices: [choice],
    upstreamModelVersion: textOf(message.model),
    vendorFields: encodeVendorFields(message),
  };
  const counted = readUsage(usage);
  if (counted !== undefined) response.usage = counted;
  return response;
}

function decodeBlocks(content: JsonValue | undefined): ContentPart[] {
  if (!Array.isArray(content)) return [];
  try {
    return content.map((block, index) => parseBlock(block, `content[${index}]`));
  } catch (cause) {
    throw garbled(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function encodeVendorFields(message: JsonObject): string {
  const fields = collectOthers(message, TYPED_FIELDS);
  if (isJsonObject(message.usage)) {
    const counts = collectOthers(message.usage, TYPED_COUNTS);
    if (Object.keys(counts).length > 0) fields.usage = counts;
  }
  return Object.keys(fields).length === 0 ? "" : JSON.stringify(fields);
}

function collectOthers(
  source: JsonObject,
  typed: ReadonlySet<string>,
): Record<string, JsonValue | undefined> {
  const others: Record<string, JsonValue | undefined> = {};
  for (const name in source) {
    if (!typed.has(name) && source[name] !== null) others[name] = source[name];
  }
  return others;
}

function garbled(internal: string, cause?: unknown): MeshError {
  const details = cause === undefined ? { internal } : { internal, cause };
  return new MeshError(
    "UPSTREAM_GARBLED",
    "The upstream's answer made no sense. Try again.",
    details,
  );
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}
