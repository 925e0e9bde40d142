import { type Tool, type ToolChoice, ToolChoice_Mode } from "../../../gen/weir/v1/chat_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import { refuseField } from "./fields.ts";
import { parseVendorJson, writeCacheControl } from "./write-content.ts";

/** Tools as Anthropic has them. Throws INVALID_REQUEST naming the tool that it cannot have. */
export function writeTools(tools: readonly Tool[]): JsonObject[] {
  return tools.map((tool, index) => writeTool(tool, `tools[${index}]`));
}

/**
 * A choice as `tool_choice`; undefined where Anthropic's default says the same or there is nothing
 * to choose from.
 */
export function writeToolChoice(
  choice: ToolChoice | undefined,
  hasTools: boolean,
): JsonObject | undefined {
  if (choice === undefined) return undefined;
  const written: Record<string, JsonValue> = { type: "auto" };
  if (choice.mode === ToolChoice_Mode.REQUIRED) written.type = "any";
  else if (choice.mode === ToolChoice_Mode.NONE) written.type = "none";
  else if (choice.mode === ToolChoice_Mode.NAMED) {
    written.type = "tool";
    written.name = choice.name;
  }
  const forces = written.type === "any" || written.type === "tool";
  if (!hasTools && !forces) return undefined;
  const { parallel } = choice;
  if (parallel !== undefined && written.type !== "none") {
    written.disable_parallel_tool_use = !parallel;
  }
  return written;
}

function writeTool(tool: Tool, path: string): JsonObject {
  const { case: kind, value } = tool.tool;
  if (kind === "vendor") {
    const own = parseVendorJson(value);
    if (own !== undefined) return own;
    throw refuseField(path, `this target does not have the tools of ${value.dialect}`);
  }
  if (kind === "custom") throw refuseField(path, "this target has no tools with free-text input");
  if (kind === undefined) throw refuseField(path, "must be a function");
  const written: Record<string, JsonValue> = { name: value.name };
  if (value.description !== "") written.description = value.description;
  written.input_schema = parseSchema(value.parametersSchema, path);
  if (value.strict !== undefined) written.strict = value.strict;
  const cacheControl = writeCacheControl(tool.cacheBreakpoint);
  if (cacheControl !== undefined) written.cache_control = cacheControl;
  return written;
}

/** Anthropic wants the schema of an object, even of one without members. */
function parseSchema(text: string, path: string): JsonObject {
  if (text === "") return { type: "object", properties: {} };
  const field = `${path}.function.parameters_schema`;
  let schema: unknown;
  try {
    schema = JSON.parse(text);
  } catch (cause) {
    throw refuseField(field, `is no JSON (${cause instanceof Error ? cause.message : cause})`);
  }
  if (!isJsonObject(schema)) throw refuseField(field, "must be a JSON object");
  return schema.type === undefined ? { type: "object", ...schema } : schema;
}
