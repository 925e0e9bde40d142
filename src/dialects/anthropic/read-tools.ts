import {
  type FunctionTool,
  type Tool,
  type ToolChoice,
  ToolChoice_Mode,
} from "../../../gen/weir/v1/chat_pb.ts";
import type { JsonObject, JsonValue } from "../../mesh/json.ts";
import {
  encodeJson,
  parseArray,
  parseObject,
  parseOptionalBoolean,
  parseOptionalString,
  parseString,
  refuseField,
} from "./fields.ts";
import { parseCacheControl } from "./read-content.ts";

/** Tools, and what they carry that `weir.v1.FunctionTool` has no place for, by the tool's name. */
export interface ToolsReading {
  readonly tools: Tool[];
  readonly extras: JsonObject;
}

/**
 * `tools` of a request. Those that the vendor runs become vendor parts. Throws INVALID_REQUEST
 * naming the path.
 */
export function parseTools(value: JsonValue | undefined): ToolsReading {
  if (value === undefined || value === null) return { tools: [], extras: {} };
  const extras: Record<string, JsonValue> = {};
  const tools = parseArray(value, "tools").map((item, index) => {
    const path = `tools[${index}]`;
    const tool = parseObject(item, path);
    const type = parseOptionalString(tool.type, `${path}.type`);
    if (type !== "" && type !== "custom") return createVendorTool(tool, path);
    return parseFunction(tool, path, extras);
  });
  return { tools, extras };
}

/** `tool_choice` of a request. Throws INVALID_REQUEST naming the path. */
export function parseToolChoice(value: JsonValue | undefined): ToolChoice | undefined {
  if (value === undefined || value === null) return undefined;
  const choice = parseObject(value, "tool_choice");
  const type = parseString(choice.type, "tool_choice.type");
  const mode = modes.get(type);
  if (mode === undefined) throw refuseField("tool_choice.type", "must be auto, any, none or tool");
  const reading: ToolChoice = {
    $typeName: "weir.v1.ToolChoice",
    mode,
    name: type === "tool" ? parseString(choice.name, "tool_choice.name") : "",
  };
  const single = parseOptionalBoolean(
    choice.disable_parallel_tool_use,
    "tool_choice.disable_parallel_tool_use",
  );
  if (single !== undefined) reading.parallel = !single;
  return reading;
}

const modes = new Map<string, ToolChoice_Mode>([
  ["auto", ToolChoice_Mode.AUTO],
  ["any", ToolChoice_Mode.REQUIRED],
  ["none", ToolChoice_Mode.NONE],
  ["tool", ToolChoice_Mode.NAMED],
]);

function parseFunction(tool: JsonObject, path: string, extras: Record<string, JsonValue>): Tool {
  const {
    type: _,
    name: rawName,
    description,
    input_schema: schema,
    strict: rawStrict,
    cache_control: cacheControl,
    ...rest
  } = tool;
  const name = parseString(rawName, `${path}.name`);
  const value: FunctionTool = {
    $typeName: "weir.v1.FunctionTool",
    name,
    description: parseOptionalString(description, `${path}.description`),
    parametersSchema: encodeJson(parseObject(schema, `${path}.input_schema`), path),
  };
  const strict = parseOptionalBoolean(rawStrict, `${path}.strict`);
  if (strict !== undefined) value.strict = strict;
  if (Object.keys(rest).length > 0) extras[name] = rest;
  const reading: Tool = { $typeName: "weir.v1.Tool", tool: { case: "function", value } };
  const breakpoint = parseCacheControl(cacheControl, `${path}.cache_control`);
  if (breakpoint !== undefined) reading.cacheBreakpoint = breakpoint;
  return reading;
}

function createVendorTool(tool: JsonObject, path: string): Tool {
  const json = encodeJson(tool, path);
  return {
    $typeName: "weir.v1.Tool",
    tool: {
      case: "vendor",
      value: { $typeName: "weir.v1.VendorPart", dialect: "anthropic", json },
    },
  };
}
