import {
  CacheBreakpointSchema,
  type CustomTool,
  type FunctionTool,
  type Sampling,
  type Tool,
  type ToolChoice,
  type ToolChoice_Mode,
} from "../../../../gen/weir/v1/chat_pb.ts";
import { UNUSUAL, type WireReader } from "./wire-reader.ts";

// How the parts of a chat are decoded that say what its answer shall be like; see decode-chat.ts.

/** A `weir.v1.Sampling`. */
export function readSampling(reader: WireReader, end: number): Sampling {
  const sampling = createEmptySampling();
  while (reader.before(end)) {
    switch (reader.tag()) {
      case 0x08:
        sampling.maxTokens = reader.uint28();
        break;
      case 0x11:
        sampling.temperature = reader.double();
        break;
      case 0x19:
        sampling.topP = reader.double();
        break;
      case 0x20:
        sampling.topK = reader.uint28();
        break;
      case 0x29:
        sampling.minP = reader.double();
        break;
      case 0x31:
        sampling.frequencyPenalty = reader.double();
        break;
      case 0x39:
        sampling.presencePenalty = reader.double();
        break;
      case 0x40:
        sampling.seed = BigInt(reader.uint28());
        break;
      case 0x4a:
        sampling.stop.push(reader.string(end));
        break;
      case 0x50:
        sampling.n = reader.uint28();
        break;
      case 0x58:
        sampling.logprobs = reader.bool();
        break;
      case 0x60:
        sampling.topLogprobs = reader.uint28();
        break;
      default:
        throw UNUSUAL;
    }
  }
  reader.close(end);
  return sampling;
}

function createEmptySampling(): Sampling {
  return {
    $typeName: "weir.v1.Sampling",
    maxTokens: undefined,
    temperature: undefined,
    topP: undefined,
    topK: undefined,
    minP: undefined,
    frequencyPenalty: undefined,
    presencePenalty: undefined,
    seed: undefined,
    stop: [],
    n: undefined,
    logprobs: undefined,
    topLogprobs: undefined,
    logitBias: {},
  };
}

/** A `weir.v1.Tool`. */
export function readTool(reader: WireReader, end: number): Tool {
  let tool: Tool["tool"] | undefined;
  let cacheBreakpoint: Tool["cacheBreakpoint"];
  while (reader.before(end)) {
    const tag = reader.tag();
    if (tag === 0x7a) {
      if (cacheBreakpoint !== undefined) throw UNUSUAL;
      cacheBreakpoint = reader.generic(CacheBreakpointSchema, end, 4);
    } else {
      if (tool !== undefined) throw UNUSUAL;
      tool = readToolKind(reader, end, tag);
    }
  }
  reader.close(end);
  return { $typeName: "weir.v1.Tool", tool: tool ?? { case: undefined }, cacheBreakpoint };
}

function readToolKind(reader: WireReader, end: number, tag: number): Tool["tool"] {
  switch (tag) {
    case 0x0a:
      return { case: "function", value: readFunctionTool(reader, reader.inner(end)) };
    case 0x12:
      return { case: "custom", value: readCustomTool(reader, reader.inner(end)) };
    default:
      throw UNUSUAL;
  }
}

function readFunctionTool(reader: WireReader, end: number): FunctionTool {
  const tool: FunctionTool = {
    $typeName: "weir.v1.FunctionTool",
    name: "",
    description: "",
    parametersSchema: "",
    strict: undefined,
  };
  while (reader.before(end)) {
    switch (reader.tag()) {
      case 0x0a:
        tool.name = reader.string(end);
        break;
      case 0x12:
        tool.description = reader.string(end);
        break;
      case 0x1a:
        tool.parametersSchema = reader.string(end);
        break;
      case 0x20:
        tool.strict = reader.bool();
        break;
      default:
        throw UNUSUAL;
    }
  }
  reader.close(end);
  return tool;
}

function readCustomTool(reader: WireReader, end: number): CustomTool {
  const tool: CustomTool = {
    $typeName: "weir.v1.CustomTool",
    name: "",
    description: "",
    format: "",
  };
  while (reader.before(end)) {
    switch (reader.tag()) {
      case 0x0a:
        tool.name = reader.string(end);
        break;
      case 0x12:
        tool.description = reader.string(end);
        break;
      case 0x1a:
        tool.format = reader.string(end);
        break;
      default:
        throw UNUSUAL;
    }
  }
  return tool;
}

/** A `weir.v1.ToolChoice`. */
export function readToolChoice(reader: WireReader, end: number): ToolChoice {
  let mode: ToolChoice_Mode = 0;
  let name = "";
  let parallel: boolean | undefined;
  while (reader.before(end)) {
    switch (reader.tag()) {
      case 0x08:
        mode = reader.enumNumber<ToolChoice_Mode>();
        break;
      case 0x12:
        name = reader.string(end);
        break;
      case 0x18:
        parallel = reader.bool();
        break;
      default:
        throw UNUSUAL;
    }
  }
  reader.close(end);
  return { $typeName: "weir.v1.ToolChoice", mode, name, parallel };
}

/** An entry of a map of strings, into that map. */
export function readLabel(reader: WireReader, end: number, labels: Record<string, string>): void {
  if (reader.tag() !== 0x0a) throw UNUSUAL;
  const key = reader.string(end);
  if (reader.tag() !== 0x12 || key === "__proto__") throw UNUSUAL;
  labels[key] = reader.string(end);
  reader.close(end);
}
