import { type Chat, type Tool, ToolChoice_Mode } from "../../gen/weir/v1/chat_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import type { JsonValue } from "../mesh/json.ts";
import { createSeededRandom } from "../mesh/random.ts";
import type { SimParameters } from "./parameters.ts";
import { endsInToolResult } from "./prompt.ts";
import { writeProse } from "./prose.ts";
import { createValue } from "./schema-value.ts";

/** A tool call as the engine makes it. */
export interface SimToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text, or free text for a custom tool. */
  readonly arguments: string;
  readonly custom: boolean;
}

/**
 * The tools that the engine calls: when the request demands it, or when the parameter `tool_calls`
 * says how many. An answer to a tool's result is text unless a call is demanded, so that agents
 * come to an end. Throws INVALID_REQUEST.
 */
export function planToolCalls(chat: Chat, parameters: SimParameters, seed: number): SimToolCall[] {
  const candidates = selectTools(chat);
  const number = planNumber(chat, parameters);
  const calls: SimToolCall[] = [];
  if (candidates.length === 0) return calls;
  for (let i = 0; i < number; i++) {
    const tool = candidates[i % candidates.length];
    if (tool !== undefined) calls.push(callTool(tool, seed + i));
  }
  return calls;
}

function selectTools(chat: Chat): CallableTool[] {
  const callable: CallableTool[] = [];
  for (const tool of chat.tools) {
    if (tool.tool.case === "function" || tool.tool.case === "custom") callable.push(tool.tool);
  }
  if (chat.toolChoice?.mode !== ToolChoice_Mode.NAMED) return callable;
  const { name } = chat.toolChoice;
  const named = callable.filter((tool) => tool.value.name === name);
  if (named.length > 0) return named;
  const message = `\`tool_choice\` names the tool ${name}, which is not among \`tools\`.`;
  throw new MeshError("INVALID_REQUEST", message, { field: "tool_choice" });
}

function planNumber(chat: Chat, parameters: SimParameters): number {
  const mode = chat.toolChoice?.mode ?? ToolChoice_Mode.AUTO;
  if (mode === ToolChoice_Mode.NONE) return 0;
  const demanded = mode === ToolChoice_Mode.REQUIRED || mode === ToolChoice_Mode.NAMED;
  if (!demanded && endsInToolResult(chat)) return 0;
  const number = parameters.toolCalls ?? (demanded ? 1 : 0);
  return chat.toolChoice?.parallel === false ? Math.min(number, 1) : number;
}

type CallableTool = Extract<Tool["tool"], { case: "function" | "custom" }>;

function callTool(tool: CallableTool, seed: number): SimToolCall {
  const id = `call_${(seed >>> 0).toString(16).padStart(8, "0")}`;
  const { name } = tool.value;
  if (tool.case === "custom") {
    return { id, name, arguments: writeProse(seed, 32), custom: true };
  }
  const schema = parseSchema(tool.value.parametersSchema, name);
  const value = createValue(schema, createSeededRandom(seed));
  return { id, name, arguments: JSON.stringify(value), custom: false };
}

function parseSchema(text: string, tool: string): JsonValue {
  if (text === "") return { type: "object" };
  try {
    return JSON.parse(text);
  } catch {
    const message = `The parameters of the tool ${tool} must be a JSON Schema.`;
    throw new MeshError("INVALID_REQUEST", message, { field: "tools" });
  }
}
