import {
  type CacheBreakpoint,
  type ContentPart,
  type Message,
  type ReasoningPart,
  Role,
  type ToolCall,
} from "../../../gen/weir/v1/chat_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import {
  isJsonArray,
  readArray,
  readObject,
  readString,
  refuseField,
  requireObject,
  requireString,
  writeJson,
} from "./field.ts";
import { readContentPart } from "./read-part.ts";
import { readReasoning } from "./reasoning.ts";

/** The messages of a request. Throws INVALID_REQUEST naming the field. */
export function readMessages(messages: readonly JsonValue[]): Message[] {
  const calls: LegacyCalls = { count: 0, idByName: new Map() };
  return messages.map((message, at) => {
    const field = `messages[${at}]`;
    return readMessage(requireObject(message, field), field, calls);
  });
}

/** Calls of the time before tools had no identifiers: they get one, by name and order. */
interface LegacyCalls {
  count: number;
  readonly idByName: Map<string, string>;
}

const roles = new Map<string, Role>([
  ["system", Role.SYSTEM],
  ["developer", Role.DEVELOPER],
  ["user", Role.USER],
  ["assistant", Role.ASSISTANT],
  ["tool", Role.TOOL],
  ["function", Role.TOOL],
]);

function readMessage(wire: JsonObject, field: string, calls: LegacyCalls): Message {
  const word = requireString(wire.role, `${field}.role`);
  const role = roles.get(word);
  if (role === undefined) {
    refuseField(`${field}.role`, "system, developer, user, assistant, tool or function");
  }
  const name = readString(wire.name, `${field}.name`) ?? "";
  const content = readContent(wire.content, `${field}.content`);
  if (role === Role.ASSISTANT) {
    const parts = readAssistantParts(wire, content, field, calls);
    return { $typeName: "weir.v1.Message", role, parts, name };
  }
  if (role === Role.TOOL) {
    const toolCallId =
      word === "function"
        ? (calls.idByName.get(name) ?? `call_${name}`)
        : requireString(wire.tool_call_id, `${field}.tool_call_id`);
    const result: ContentPart = createPart({
      case: "toolResult",
      value: { $typeName: "weir.v1.ToolResult", toolCallId, parts: content, isError: false, name },
    });
    return { $typeName: "weir.v1.Message", role, parts: [result], name: "" };
  }
  return { $typeName: "weir.v1.Message", role, parts: content, name };
}

/** A text or a list of parts. An empty text is no part. */
function readContent(content: JsonValue | undefined, field: string): ContentPart[] {
  if (content === undefined || content === null || content === "") return [];
  if (typeof content === "string") return [createTextPart(content)];
  if (!isJsonArray(content)) refuseField(field, "a string or an array of parts");
  return content.map((part, at) => {
    const name = `${field}[${at}]`;
    return readContentPart(requireObject(part, name), name);
  });
}

function readAssistantParts(
  wire: JsonObject,
  content: readonly ContentPart[],
  field: string,
  calls: LegacyCalls,
): ContentPart[] {
  const parts: ContentPart[] = readReasoning(wire).map(createReasoningPart);
  for (const part of content) parts.push(part);
  const refusal = readString(wire.refusal, `${field}.refusal`);
  if (refusal) {
    parts.push(
      createPart({ case: "refusal", value: { $typeName: "weir.v1.Refusal", text: refusal } }),
    );
  }
  const audio = readObject(wire.audio, `${field}.audio`);
  if (audio !== undefined) {
    const id = requireString(audio.id, `${field}.audio.id`);
    parts.push(
      createPart({ case: "audio", value: { $typeName: "weir.v1.Audio", id, transcript: "" } }),
    );
  }
  readArray(wire.tool_calls, `${field}.tool_calls`).forEach((call, at) => {
    const name = `${field}.tool_calls[${at}]`;
    const value = readToolCall(requireObject(call, name), name);
    parts.push(createPart({ case: "toolCall", value }));
  });
  const legacy = readObject(wire.function_call, `${field}.function_call`);
  if (legacy !== undefined) {
    const call = readFunction(legacy, `call_${calls.count++}`, `${field}.function_call`);
    calls.idByName.set(call.name, call.id);
    parts.push(createPart({ case: "toolCall", value: call }));
  }
  return parts;
}

/** A tool call of a message or an answer, whole. */
export function readToolCall(wire: JsonObject, field: string): ToolCall {
  const id = readString(wire.id, `${field}.id`) ?? "";
  const custom = wire.custom;
  if (isJsonObject(custom)) {
    return {
      $typeName: "weir.v1.ToolCall",
      id,
      name: requireString(custom.name, `${field}.custom.name`),
      arguments: readString(custom.input, `${field}.custom.input`) ?? "",
      custom: true,
      signature: "",
    };
  }
  const call = readFunction(
    requireObject(wire.function, `${field}.function`),
    id,
    `${field}.function`,
  );
  call.signature = readSignature(wire);
  return call;
}

function readFunction(wire: JsonObject, id: string, field: string): ToolCall {
  const given = wire.arguments;
  return {
    $typeName: "weir.v1.ToolCall",
    id,
    name: requireString(wire.name, `${field}.name`),
    // Some engines give the arguments as an object.
    arguments: isJsonObject(given)
      ? writeJson(given, `${field}.arguments`)
      : (readString(given, `${field}.arguments`) ?? ""),
    custom: false,
    signature: "",
  };
}

/** Where Google's endpoint for this dialect puts the proof that it wants back with a call. */
export function readSignature(toolCall: JsonObject): string {
  const extra = toolCall.extra_content;
  const google = isJsonObject(extra) ? extra.google : undefined;
  const signature = isJsonObject(google) ? google.thought_signature : undefined;
  return typeof signature === "string" ? signature : "";
}

export function createPart(part: ContentPart["part"], cache?: CacheBreakpoint): ContentPart {
  const content: ContentPart = { $typeName: "weir.v1.ContentPart", part };
  if (cache !== undefined) content.cacheBreakpoint = cache;
  return content;
}

export function createTextPart(text: string): ContentPart {
  return createPart({ case: "text", value: { $typeName: "weir.v1.Text", text, citations: [] } });
}

export function createReasoningPart(value: ReasoningPart): ContentPart {
  return createPart({ case: "reasoning", value });
}
