import {
  CachePreferences_Mode,
  type Chat,
  type ContentPart,
  type Message,
  Reasoning_Effort,
  Role,
  RoutingPreferences_Sort,
  type Sampling,
  type Tool,
  ToolChoice_Mode,
} from "../../../gen/weir/v1/chat_pb.ts";
import { VectorEncoding } from "../../../gen/weir/v1/embed_pb.ts";
import type { EmbedRequest } from "../../../gen/weir/v1/embed_service_pb.ts";
import { MeshError } from "../../mesh/errors.ts";
import { Violations, validateCommonFields } from "./validate-fields.ts";

/**
 * The chat of a request, once it keeps the limits that the comments of `weir.v1.Chat` state. Throws
 * INVALID_REQUEST naming the first field at fault, and listing the others.
 */
export function validateChat(chat: Chat | undefined): Chat {
  if (chat === undefined) {
    throw new MeshError("INVALID_REQUEST", "chat: is required.", { field: "chat" });
  }
  const violations = new Violations();
  validateCommonFields(chat, violations);
  if (chat.messages.length === 0) violations.add("messages", "must be at least one.");
  for (let at = 0; at < chat.messages.length; at++) {
    validateMessage(chat.messages[at], at, violations);
  }
  violations.bytes("session_id", chat.sessionId, SESSION_ID_BYTES_MAX);
  if (chat.sampling !== undefined) validateSampling(chat.sampling, violations);
  for (let at = 0; at < chat.tools.length; at++) validateTool(chat.tools[at], at, violations);
  validateForm(chat, violations);
  validatePreferences(chat, violations);
  violations.throwIfAny();
  return chat;
}

/** An embedding's request, once it keeps its limits; see validateChat(). */
export function validateEmbed(request: EmbedRequest): EmbedRequest {
  const violations = new Violations();
  validateCommonFields(request, violations);
  const count = request.inputs.length;
  if (count < 1 || count > INPUTS_MAX) {
    violations.add("inputs", `must be 1 to ${INPUTS_MAX}, and are ${count}.`);
  } else {
    for (let at = 0; at < count; at++) {
      if (request.inputs[at]?.input.case === undefined) {
        violations.add(`inputs[${at}]`, "must be text, tokens or parts.");
      }
    }
  }
  violations.range("dimensions", request.dimensions, 1, Number.POSITIVE_INFINITY);
  violations.member("encoding", request.encoding, VectorEncoding.LITTLE_ENDIAN);
  violations.throwIfAny();
  return request;
}

const SESSION_ID_BYTES_MAX = 128;
const STOP_MAX = 16;
const INPUTS_MAX = 2048;

function validateMessage(message: Message | undefined, at: number, violations: Violations): void {
  if (message === undefined) return;
  const { role, parts } = message;
  if (role === Role.UNSPECIFIED) violations.add(`messages[${at}].role`, "is required.");
  else violations.member(`messages[${at}].role`, role, Role.TOOL);
  // An assistant may have said nothing, as when its answer was cut off at once.
  if (parts.length === 0 && role !== Role.ASSISTANT) {
    violations.add(`messages[${at}].parts`, "must be at least one.");
  }
  for (let number = 0; number < parts.length; number++) {
    const fault = findPartFault(parts[number], role);
    if (fault !== undefined) violations.add(`messages[${at}].parts[${number}]`, fault);
  }
}

/**
 * What is wrong with a part of a message with this role, as a sentence; undefined when nothing is.
 */
function findPartFault(part: ContentPart | undefined, role: Role): string | undefined {
  const content = part?.part;
  switch (content?.case) {
    case undefined:
      return "must have one kind of content.";
    case "text":
      return undefined;
    case "image":
    case "file":
      return content.value.blob?.source.case === undefined ? "must have a blob." : undefined;
    case "audio":
      if (content.value.id !== "" || content.value.blob?.source.case !== undefined)
        return undefined;
      return "must have a blob, or the id of an earlier answer.";
    case "toolCall":
      if (role !== Role.ASSISTANT) return "may hold a tool call only in assistant messages.";
      return content.value.id === "" ? "must have a tool call with an id." : undefined;
    case "toolResult":
      return findToolResultFault(content.value.toolCallId, content.value.parts, role);
    case "reasoning":
      return role === Role.ASSISTANT ? undefined : "may hold reasoning only in assistant messages.";
    case "refusal":
      return role === Role.ASSISTANT ? undefined : "may hold a refusal only in assistant messages.";
    case "vendor":
      return content.value.dialect === "" ? "must name the dialect of its content." : undefined;
    default: {
      const never: never = content;
      return never;
    }
  }
}

function findToolResultFault(
  toolCallId: string,
  parts: readonly ContentPart[],
  role: Role,
): string | undefined {
  if (role !== Role.TOOL && role !== Role.USER) {
    return "may hold a tool result only in tool and user messages.";
  }
  if (toolCallId === "") return "must have a tool result with a tool_call_id.";
  for (const { part } of parts) {
    // No result within a result: whoever walks the parts need not fear for the stack.
    if (part.case !== "text" && part.case !== "image" && part.case !== "file") {
      return "may have nothing but texts, images and files as the result of a tool.";
    }
  }
  return undefined;
}

function validateSampling(sampling: Sampling, violations: Violations): void {
  const unbounded = Number.POSITIVE_INFINITY;
  violations.range("sampling.max_tokens", sampling.maxTokens, 1, unbounded);
  violations.range("sampling.temperature", sampling.temperature, 0, 2);
  violations.range("sampling.top_p", sampling.topP, 0, 1);
  violations.range("sampling.top_k", sampling.topK, 1, unbounded);
  violations.range("sampling.min_p", sampling.minP, 0, 1);
  violations.range("sampling.frequency_penalty", sampling.frequencyPenalty, -2, 2);
  violations.range("sampling.presence_penalty", sampling.presencePenalty, -2, 2);
  violations.range("sampling.n", sampling.n, 1, 128);
  violations.range("sampling.top_logprobs", sampling.topLogprobs, 0, 20);
  if (sampling.stop.length > STOP_MAX) {
    violations.add("sampling.stop", `must be at most ${STOP_MAX}.`);
  }
  for (const token in sampling.logitBias) {
    violations.range("sampling.logit_bias", sampling.logitBias[token], -100, 100);
  }
}

function validateTool(tool: Tool | undefined, at: number, violations: Violations): void {
  const kind = tool?.tool;
  if (kind?.case === undefined) {
    violations.add(`tools[${at}]`, "must be a function, a custom or a vendor tool.");
  } else if (kind.case === "vendor") {
    if (kind.value.dialect === "") violations.add(`tools[${at}].vendor.dialect`, "is required.");
  } else if (kind.value.name === "") {
    violations.add(`tools[${at}].${kind.case}.name`, "is required.");
  }
}

/** What the answer shall be like. */
function validateForm(chat: Chat, violations: Violations): void {
  const { toolChoice, responseFormat, reasoning } = chat;
  if (toolChoice !== undefined) {
    if (toolChoice.mode === ToolChoice_Mode.UNSPECIFIED) {
      violations.add("tool_choice.mode", "is required.");
    }
    violations.member("tool_choice.mode", toolChoice.mode, ToolChoice_Mode.NAMED);
    if (toolChoice.mode === ToolChoice_Mode.NAMED && toolChoice.name === "") {
      violations.add("tool_choice.name", "is required with MODE_NAMED.");
    }
  }
  if (responseFormat !== undefined) {
    const { format } = responseFormat;
    if (format.case === undefined) violations.add("response_format", "must have one form.");
    if (format.case === "jsonSchema" && format.value.schema === "") {
      violations.add("response_format.json_schema.schema", "is required.");
    }
  }
  if (reasoning !== undefined) {
    violations.member("reasoning.effort", reasoning.effort, Reasoning_Effort.MAX);
    violations.range("reasoning.max_tokens", reasoning.maxTokens, 1, Number.POSITIVE_INFINITY);
  }
}

function validatePreferences(chat: Chat, violations: Violations): void {
  const { routing, cache } = chat;
  if (routing !== undefined) {
    violations.member("routing.sort", routing.sort, RoutingPreferences_Sort.LATENCY);
    violations.range(
      "routing.preferred_min_tokens_per_second",
      routing.preferredMinTokensPerSecond,
      0,
      Number.POSITIVE_INFINITY,
    );
  }
  if (cache !== undefined) {
    violations.member("cache.mode", cache.mode, CachePreferences_Mode.REFRESH);
  }
}
