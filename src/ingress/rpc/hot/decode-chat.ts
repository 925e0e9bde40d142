import { fromBinary } from "@bufbuild/protobuf";
import {
  AudioSchema,
  CacheBreakpointSchema,
  CachePreferencesSchema,
  type Chat,
  type ContentPart,
  FileSchema,
  ImageSchema,
  type Message,
  ReasoningSchema,
  ResponseFormatSchema,
  type Role,
  RoutingPreferencesSchema,
  type Text,
  type ToolCall,
  type ToolResult,
} from "../../../../gen/weir/v1/chat_pb.ts";
import type {
  CreateChatRequestSchema,
  StreamChatRequestSchema,
} from "../../../../gen/weir/v1/chat_service_pb.ts";
import { readLabel, readSampling, readTool, readToolChoice } from "./decode-chat-form.ts";
import { READ_OPTIONS, UNUSUAL, WireReader } from "./wire-reader.ts";

/**
 * The `chat` of a request, decoded as protobuf-es does it, but that unset fields may be there as
 * undefined, and fields that nobody knows are not kept. What nearly all requests are made of is
 * read by hand: a fifth of the time, and no garbage but the message. The rest is left to the
 * generic decoder, for a message within or, where its rules for merging and keeping fields matter,
 * for the whole. Throws its errors.
 */
export function decodeChat(
  schema: typeof CreateChatRequestSchema | typeof StreamChatRequestSchema,
  bytes: Buffer,
): Chat | undefined {
  try {
    return readRequest(new WireReader(bytes));
  } catch {
    // Not only UNUSUAL: what is wrong with a message within is told in terms of the whole.
    return fromBinary(schema, bytes, READ_OPTIONS).chat;
  }
}

// The case labels below are tags: the number of the field times eight, plus 2 for what has a length
// before it, 1 for a double and 0 for a varint. A field that comes twice where one is expected is
// merged by rules of its own, and so is unusual.

function readRequest(reader: WireReader): Chat | undefined {
  let chat: Chat | undefined;
  while (reader.before(reader.end)) {
    if (reader.tag() !== 0x0a || chat !== undefined) throw UNUSUAL;
    chat = readChat(reader, reader.inner(reader.end));
  }
  return chat;
}

function readChat(reader: WireReader, end: number): Chat {
  const chat = createEmptyChat();
  while (reader.before(end)) {
    const tag = reader.tag();
    switch (tag) {
      case 0x0a:
        chat.model = reader.string(end);
        break;
      case 0x12:
        chat.fallbackModels.push(reader.string(end));
        break;
      case 0x1a:
        chat.messages.push(readMessage(reader, reader.inner(end)));
        break;
      case 0x22:
        if (chat.sampling !== undefined) throw UNUSUAL;
        chat.sampling = readSampling(reader, reader.inner(end));
        break;
      case 0x2a:
        chat.tools.push(readTool(reader, reader.inner(end)));
        break;
      case 0x32:
        if (chat.toolChoice !== undefined) throw UNUSUAL;
        chat.toolChoice = readToolChoice(reader, reader.inner(end));
        break;
      case 0x5a:
        readLabel(reader, reader.inner(end), chat.labels);
        break;
      case 0x62:
        chat.sessionId = reader.string(end);
        break;
      case 0x6a:
        chat.endUser = reader.string(end);
        break;
      case 0x72:
        chat.providerOptions = reader.string(end);
        break;
      case 0x7a:
        chat.modalities.push(reader.string(end));
        break;
      default:
        readWish(reader, end, tag, chat);
    }
  }
  reader.close(end);
  return chat;
}

/** The messages that are rare enough for the generic decoder. */
function readWish(reader: WireReader, end: number, tag: number, chat: Chat): void {
  switch (tag) {
    case 0x3a:
      if (chat.responseFormat !== undefined) throw UNUSUAL;
      chat.responseFormat = reader.generic(ResponseFormatSchema, end, 3);
      break;
    case 0x42:
      if (chat.reasoning !== undefined) throw UNUSUAL;
      chat.reasoning = reader.generic(ReasoningSchema, end, 3);
      break;
    case 0x4a:
      if (chat.routing !== undefined) throw UNUSUAL;
      chat.routing = reader.generic(RoutingPreferencesSchema, end, 3);
      break;
    case 0x52:
      if (chat.cache !== undefined) throw UNUSUAL;
      chat.cache = reader.generic(CachePreferencesSchema, end, 3);
      break;
    default:
      throw UNUSUAL;
  }
}

function createEmptyChat(): Chat {
  return {
    $typeName: "weir.v1.Chat",
    model: "",
    fallbackModels: [],
    messages: [],
    sampling: undefined,
    tools: [],
    toolChoice: undefined,
    responseFormat: undefined,
    reasoning: undefined,
    routing: undefined,
    cache: undefined,
    labels: {},
    sessionId: "",
    endUser: "",
    providerOptions: "",
    modalities: [],
    audioOutput: undefined,
  };
}

function readMessage(reader: WireReader, end: number): Message {
  let role: Role = 0;
  let name = "";
  const parts: ContentPart[] = [];
  while (reader.before(end)) {
    switch (reader.tag()) {
      case 0x08:
        role = reader.enumNumber<Role>();
        break;
      case 0x12:
        parts.push(readPart(reader, reader.inner(end), 4));
        break;
      case 0x1a:
        name = reader.string(end);
        break;
      default:
        throw UNUSUAL;
    }
  }
  reader.close(end);
  return { $typeName: "weir.v1.Message", role, parts, name };
}

function readPart(reader: WireReader, end: number, depth: number): ContentPart {
  let part: ContentPart["part"] | undefined;
  let cacheBreakpoint: ContentPart["cacheBreakpoint"];
  while (reader.before(end)) {
    const tag = reader.tag();
    if (tag === 0x7a) {
      if (cacheBreakpoint !== undefined) throw UNUSUAL;
      cacheBreakpoint = reader.generic(CacheBreakpointSchema, end, depth + 1);
    } else {
      if (part !== undefined) throw UNUSUAL;
      part = readContent(reader, end, tag, depth);
    }
  }
  reader.close(end);
  return {
    $typeName: "weir.v1.ContentPart",
    part: part ?? { case: undefined },
    cacheBreakpoint,
  };
}

function readContent(
  reader: WireReader,
  end: number,
  tag: number,
  depth: number,
): ContentPart["part"] {
  switch (tag) {
    case 0x0a:
      return { case: "text", value: readText(reader, reader.inner(end)) };
    case 0x12:
      return { case: "image", value: reader.generic(ImageSchema, end, depth + 1) };
    case 0x1a:
      return { case: "audio", value: reader.generic(AudioSchema, end, depth + 1) };
    case 0x22:
      return { case: "file", value: reader.generic(FileSchema, end, depth + 1) };
    case 0x2a:
      return { case: "toolCall", value: readToolCall(reader, reader.inner(end)) };
    case 0x32:
      // A result within a result is refused later on; here it must not take the stack.
      if (depth > 4) throw UNUSUAL;
      return { case: "toolResult", value: readToolResult(reader, reader.inner(end), depth + 1) };
    default:
      throw UNUSUAL;
  }
}

function readText(reader: WireReader, end: number): Text {
  let text = "";
  while (reader.before(end)) {
    if (reader.tag() !== 0x0a) throw UNUSUAL;
    text = reader.string(end);
  }
  return { $typeName: "weir.v1.Text", text, citations: [] };
}

function readToolCall(reader: WireReader, end: number): ToolCall {
  const call: ToolCall = {
    $typeName: "weir.v1.ToolCall",
    id: "",
    name: "",
    arguments: "",
    custom: false,
    signature: "",
  };
  while (reader.before(end)) {
    switch (reader.tag()) {
      case 0x0a:
        call.id = reader.string(end);
        break;
      case 0x12:
        call.name = reader.string(end);
        break;
      case 0x1a:
        call.arguments = reader.string(end);
        break;
      case 0x20:
        call.custom = reader.bool();
        break;
      case 0x2a:
        call.signature = reader.string(end);
        break;
      default:
        throw UNUSUAL;
    }
  }
  reader.close(end);
  return call;
}

function readToolResult(reader: WireReader, end: number, depth: number): ToolResult {
  const result: ToolResult = {
    $typeName: "weir.v1.ToolResult",
    toolCallId: "",
    parts: [],
    isError: false,
    name: "",
  };
  while (reader.before(end)) {
    switch (reader.tag()) {
      case 0x0a:
        result.toolCallId = reader.string(end);
        break;
      case 0x12:
        result.parts.push(readPart(reader, reader.inner(end), depth + 1));
        break;
      case 0x18:
        result.isError = reader.bool();
        break;
      case 0x22:
        result.name = reader.string(end);
        break;
      default:
        throw UNUSUAL;
    }
  }
  reader.close(end);
  return result;
}
