import {
  type CustomTool,
  type FunctionTool,
  ToolChoice_Mode as Mode,
  type Tool,
  type ToolChoice,
} from "../../../gen/weir/v1/chat_pb.ts";
import { isJsonObject, type JsonObject } from "../../mesh/json.ts";
import {
  readArray,
  readBoolean,
  readObject,
  readString,
  refuseField,
  requireObject,
  requireString,
  writeJson,
} from "./field.ts";
import { readCacheControl } from "./read-part.ts";

/** `tools`, and `functions` of the time before them. */
export function readTools(body: JsonObject): Tool[] {
  const tools = readArray(body.tools, "tools").map((tool, at) => {
    const field = `tools[${at}]`;
    return readTool(requireObject(tool, field), field);
  });
  readArray(body.functions, "functions").forEach((wire, at) => {
    const field = `functions[${at}]`;
    const value = readFunctionTool(requireObject(wire, field), field);
    tools.push({ $typeName: "weir.v1.Tool", tool: { case: "function", value } });
  });
  return tools;
}

function readTool(wire: JsonObject, field: string): Tool {
  const tool: Tool = { $typeName: "weir.v1.Tool", tool: readToolKind(wire, field) };
  const cache = readCacheControl(wire.cache_control);
  if (cache !== undefined) tool.cacheBreakpoint = cache;
  return tool;
}

function readToolKind(wire: JsonObject, field: string): Tool["tool"] {
  switch (requireString(wire.type, `${field}.type`)) {
    case "function": {
      const at = `${field}.function`;
      return { case: "function", value: readFunctionTool(requireObject(wire.function, at), at) };
    }
    case "custom": {
      const at = `${field}.custom`;
      return { case: "custom", value: readCustomTool(requireObject(wire.custom, at), at) };
    }
    default: {
      const json = writeJson(wire, field);
      return {
        case: "vendor",
        value: { $typeName: "weir.v1.VendorPart", dialect: "openai", json },
      };
    }
  }
}

function readFunctionTool(wire: JsonObject, field: string): FunctionTool {
  const schema = readObject(wire.parameters, `${field}.parameters`);
  const strict = readBoolean(wire.strict, `${field}.strict`);
  return {
    $typeName: "weir.v1.FunctionTool",
    name: requireString(wire.name, `${field}.name`),
    description: readString(wire.description, `${field}.description`) ?? "",
    parametersSchema: schema === undefined ? "" : writeJson(schema, `${field}.parameters`),
    ...(strict === undefined ? {} : { strict }),
  };
}

function readCustomTool(wire: JsonObject, field: string): CustomTool {
  const format = readObject(wire.format, `${field}.format`);
  return {
    $typeName: "weir.v1.CustomTool",
    name: requireString(wire.name, `${field}.name`),
    description: readString(wire.description, `${field}.description`) ?? "",
    format: format === undefined ? "" : writeJson(format, `${field}.format`),
  };
}

const modes = new Map<string, Mode>([
  ["auto", Mode.AUTO],
  ["none", Mode.NONE],
  ["required", Mode.REQUIRED],
  // Mistral's word.
  ["any", Mode.REQUIRED],
]);

/**
 * `tool_choice` with `parallel_tool_calls`, or `function_call` of the time before. `vendor` for a
 * choice that the message has no place for.
 */
export function readToolChoice(body: JsonObject): ToolChoice | "vendor" | undefined {
  const parallel = readBoolean(body.parallel_tool_calls, "parallel_tool_calls");
  const field =
    body.tool_choice == null && body.function_call != null ? "function_call" : "tool_choice";
  const given = body[field];
  const choice: ToolChoice = {
    $typeName: "weir.v1.ToolChoice",
    mode: Mode.UNSPECIFIED,
    name: "",
    ...(parallel === undefined ? {} : { parallel }),
  };
  if (given === undefined || given === null) return parallel === undefined ? undefined : choice;
  if (typeof given === "string") {
    choice.mode = modes.get(given) ?? refuseField(field, "auto, none, required or an object");
    return choice;
  }
  const wire = requireObject(given, field);
  const named = field === "function_call" ? wire : (wire.function ?? wire.custom);
  if (!isJsonObject(named)) return "vendor";
  choice.mode = Mode.NAMED;
  choice.name = requireString(named.name, `${field}.name`);
  return choice;
}
