import {
  type ContentPart,
  type Message,
  type ReasoningPart,
  Role,
  type ToolCall,
  type ToolResult,
} from "../../../gen/weir/v1/chat_pb.ts";
import type { JsonValue } from "../../mesh/json.ts";
import { refuseField, type WireObject } from "./field.ts";
import { writeReasoningDetails } from "./reasoning.ts";
import type { Translation } from "./translation.ts";
import { writeContentPart } from "./write-part.ts";

/**
 * Messages as OpenAI has them. A tool message there holds one result and only text, so that results
 * become messages of their own, and their pictures a user message after the last of them. Throws
 * INVALID_REQUEST for what has no place.
 */
export function writeMessages(messages: readonly Message[], translation: Translation): JsonValue[] {
  const wire: JsonValue[] = [];
  /** What results hold beside text, until no result follows any more. */
  let pending: WireObject[] = [];
  messages.forEach((message, at) => {
    const field = `messages[${at}]`;
    const results = message.parts.filter(({ part }) => part.case === "toolResult");
    for (const { part } of results) {
      if (part.case !== "toolResult") continue;
      wire.push(writeToolResult(part.value, pending, translation, field));
    }
    const others = results.length === 0 ? message.parts : message.parts.filter(isNoResult);
    if (message.role === Role.TOOL && others.length === 0) return;
    if (pending.length > 0 && message.role !== Role.USER) {
      wire.push({ role: "user", content: pending });
      pending = [];
    }
    if (others.length === 0 && results.length > 0 && pending.length === 0) return;
    const written = writeMessage(message, others, translation, field);
    if (pending.length > 0) {
      written.content = [...pending, ...contentParts(written.content)];
      pending = [];
    }
    wire.push(written);
  });
  if (pending.length > 0) wire.push({ role: "user", content: pending });
  return wire;
}

function isNoResult({ part }: ContentPart): boolean {
  return part.case !== "toolResult";
}

function contentParts(content: JsonValue | undefined): JsonValue[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
  return Array.isArray(content) ? [...content] : [];
}

function writeToolResult(
  result: ToolResult,
  pending: WireObject[],
  translation: Translation,
  field: string,
): WireObject {
  if (result.isError) translation.warn("the mark of a failed tool result left out");
  const texts: ContentPart[] = [];
  let beside: WireObject[] = [];
  for (const content of result.parts) {
    if (content.part.case === "text") texts.push(content);
    else {
      const wire = writeContentPart(content, translation, field);
      if (wire !== undefined) beside.push(wire);
    }
  }
  if (beside.length > 0) {
    beside = [{ type: "text", text: `Content of tool result ${result.toolCallId}:` }, ...beside];
    for (const part of beside) pending.push(part);
  }
  return {
    role: "tool",
    tool_call_id: result.toolCallId,
    content: writeContent(texts, translation, field),
  };
}

function writeMessage(
  message: Message,
  parts: readonly ContentPart[],
  translation: Translation,
  field: string,
): WireObject {
  const role = writeRole(message.role, translation, field);
  if (message.role === Role.ASSISTANT) return writeAssistant(message, translation, field);
  const wire: WireObject = { role, content: writeContent(parts, translation, field) };
  if (message.name !== "") wire.name = message.name;
  return wire;
}

function writeRole(role: Role, translation: Translation, field: string): string {
  switch (role) {
    case Role.SYSTEM:
      return "system";
    case Role.DEVELOPER:
      return translation.traits.strict ? "developer" : "system";
    case Role.USER:
      return "user";
    case Role.ASSISTANT:
      return "assistant";
    case Role.TOOL:
      return refuseField(`${field}.parts`, "tool results only, in a tool message");
    default:
      return refuseField(`${field}.role`, "given");
  }
}

/** A text when that says all, else parts. */
function writeContent(
  parts: readonly ContentPart[],
  translation: Translation,
  field: string,
): JsonValue {
  const [only] = parts;
  if (only === undefined) return "";
  const plain = only.cacheBreakpoint === undefined || !translation.traits.openRouter;
  if (parts.length === 1 && only.part.case === "text" && plain) {
    writeContentPart(only, translation, field);
    return only.part.value.text;
  }
  const wire: JsonValue[] = [];
  parts.forEach((part, at) => {
    const written = writeContentPart(part, translation, `${field}.parts[${at}]`);
    if (written !== undefined) wire.push(written);
  });
  return wire;
}

function writeAssistant(message: Message, translation: Translation, field: string): WireObject {
  const spoken: ContentPart[] = [];
  const thoughts: ReasoningPart[] = [];
  const calls: WireObject[] = [];
  const wire: WireObject = { role: "assistant", content: null };
  for (const content of message.parts) {
    const { part } = content;
    if (part.case === "reasoning") thoughts.push(part.value);
    else if (part.case === "toolCall") calls.push(writeToolCall(part.value, translation));
    else if (part.case === "refusal") wire.refusal = part.value.text;
    else if (part.case === "audio" && part.value.id !== "") wire.audio = { id: part.value.id };
    else spoken.push(content);
  }
  if (spoken.length > 0) wire.content = writeContent(spoken, translation, field);
  else if (calls.length === 0 && wire.refusal === undefined && wire.audio === undefined) {
    wire.content = "";
  }
  if (message.name !== "") wire.name = message.name;
  writeThoughts(thoughts, wire, translation);
  if (calls.length > 0) wire.tool_calls = calls;
  return wire;
}

/**
 * OpenAI's own API takes no thoughts back here; other engines take the text, OpenRouter the proofs
 * too.
 */
function writeThoughts(
  thoughts: readonly ReasoningPart[],
  wire: WireObject,
  translation: Translation,
): void {
  if (thoughts.length === 0) return;
  if (translation.traits.strict) {
    translation.warn("earlier thoughts left out: the target takes none back");
    return;
  }
  if (translation.traits.openRouter) {
    wire.reasoning = thoughts.map(({ text }) => text).join("");
    wire.reasoning_details = writeReasoningDetails(thoughts, 0);
    return;
  }
  const text = thoughts.map((thought) => thought.text).join("");
  if (text !== "") wire.reasoning_content = text;
  if (thoughts.some(({ signature, redacted }) => signature !== "" || redacted !== "")) {
    translation.warn("proofs of earlier thoughts left out: the target takes none back");
  }
}

function writeToolCall(call: ToolCall, translation: Translation): WireObject {
  if (call.custom) {
    return { id: call.id, type: "custom", custom: { name: call.name, input: call.arguments } };
  }
  const wire: WireObject = {
    id: call.id,
    type: "function",
    function: { name: call.name, arguments: call.arguments || "{}" },
  };
  if (call.signature !== "" && !translation.traits.strict) {
    wire.extra_content = { google: { thought_signature: call.signature } };
  }
  return wire;
}
