import type {
  Blob,
  CacheBreakpoint,
  Citation,
  ContentPart,
  File,
  Text,
} from "../../../gen/weir/v1/chat_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import {
  encodeJson,
  parseArray,
  parseObject,
  parseOptionalBoolean,
  parseOptionalString,
  parseString,
  refuseField,
} from "./fields.ts";

/**
 * A message's or a tool result's content, a string or blocks, as parts. Throws INVALID_REQUEST
 * naming the path.
 */
export function parseContent(content: JsonValue | undefined, path: string): ContentPart[] {
  if (typeof content === "string") return [createPart(createText(content))];
  if (!Array.isArray(content)) {
    throw refuseField(path, content === undefined ? "is required" : "must be a string or an array");
  }
  return content.map((block, index) => parseBlock(block, `${path}[${index}]`));
}

/**
 * One block as a part. Kinds that only Anthropic has become vendor parts, cache breakpoint and all,
 * so that they go back as they came.
 */
export function parseBlock(value: JsonValue, path: string): ContentPart {
  const block = parseObject(value, path);
  const content = createPart(parseKind(block, path));
  if (content.part.case === "vendor") return content;
  const breakpoint = parseCacheControl(block.cache_control, `${path}.cache_control`);
  if (breakpoint !== undefined) content.cacheBreakpoint = breakpoint;
  return content;
}

/** `cache_control` as a breakpoint; undefined when it is absent or null. */
export function parseCacheControl(
  value: JsonValue | undefined,
  path: string,
): CacheBreakpoint | undefined {
  if (value === undefined || value === null) return undefined;
  const { ttl } = parseObject(value, path);
  const breakpoint: CacheBreakpoint = { $typeName: "weir.v1.CacheBreakpoint" };
  if (ttl === undefined || ttl === null) return breakpoint;
  if (ttl !== "5m" && ttl !== "1h") throw refuseField(`${path}.ttl`, 'must be "5m" or "1h"');
  const seconds = ttl === "1h" ? 3600n : 300n;
  breakpoint.ttl = { $typeName: "google.protobuf.Duration", seconds, nanos: 0 };
  return breakpoint;
}

/** A citation in Anthropic's form; the form itself is kept. */
export function mapCitation(citation: JsonObject): Citation {
  return {
    $typeName: "weir.v1.Citation",
    uri: textOf(citation.url) || textOf(citation.source),
    title: textOf(citation.title) || textOf(citation.document_title),
    quote: textOf(citation.cited_text),
    raw: JSON.stringify(citation),
  };
}

/**
 * What a tool call carries beyond id, name and input, as its signature; "" when that is nothing.
 */
export function encodeCallExtras(block: JsonObject): string {
  const { type: _, id: _id, name: _name, input: _input, cache_control: _cache, ...extras } = block;
  const { caller, ...others } = extras;
  const kept = isJsonObject(caller) && caller.type !== "direct" ? extras : others;
  for (const name in kept) if (kept[name] !== null) return JSON.stringify(kept);
  return "";
}

type Part = ContentPart["part"];

function parseKind(block: JsonObject, path: string): Part {
  switch (parseString(block.type, `${path}.type`)) {
    case "text":
      return parseText(block, path);
    case "image":
      return parseImage(block, path);
    case "document":
      return parseDocument(block, path);
    case "tool_use":
      return parseToolUse(block, path);
    case "tool_result":
      return parseToolResult(block, path);
    case "thinking":
      return createReasoning({
        text: parseString(block.thinking, `${path}.thinking`),
        signature: parseOptionalString(block.signature, `${path}.signature`),
        redacted: "",
      });
    case "redacted_thinking":
      return createReasoning({
        text: "",
        signature: "",
        redacted: parseString(block.data, `${path}.data`),
      });
    default:
      return createVendor(block, path);
  }
}

function parseText(block: JsonObject, path: string): Part {
  const text = createText(parseString(block.text, `${path}.text`));
  const citations = block.citations;
  if (citations === undefined || citations === null) return text;
  parseArray(citations, `${path}.citations`).forEach((citation, index) => {
    text.value.citations.push(mapCitation(parseObject(citation, `${path}.citations[${index}]`)));
  });
  return text;
}

function parseImage(block: JsonObject, path: string): Part {
  const blob = parseSource(block.source, `${path}.source`);
  if (blob === undefined) return createVendor(block, path);
  return { case: "image", value: { $typeName: "weir.v1.Image", blob, detail: "" } };
}

function parseDocument(block: JsonObject, path: string): Part {
  const blob = parseSource(block.source, `${path}.source`);
  if (blob === undefined) return createVendor(block, path);
  const value: File = {
    $typeName: "weir.v1.File",
    blob,
    name: parseOptionalString(block.title, `${path}.title`),
    context: parseOptionalString(block.context, `${path}.context`),
  };
  const citations = block.citations;
  if (citations !== undefined && citations !== null) {
    const { enabled } = parseObject(citations, `${path}.citations`);
    const wanted = parseOptionalBoolean(enabled, `${path}.citations.enabled`);
    if (wanted !== undefined) value.citations = wanted;
  }
  return { case: "file", value };
}

/** Undefined for a source of a kind that only Anthropic has. */
function parseSource(value: JsonValue | undefined, path: string): Blob | undefined {
  const source = parseObject(value, path);
  const mediaType = parseOptionalString(source.media_type, `${path}.media_type`);
  switch (parseString(source.type, `${path}.type`)) {
    case "base64": {
      const data = Buffer.from(parseString(source.data, `${path}.data`), "base64");
      return createBlob({ case: "data", value: data }, mediaType);
    }
    case "text": {
      const data = Buffer.from(parseString(source.data, `${path}.data`), "utf8");
      return createBlob({ case: "data", value: data }, mediaType || "text/plain");
    }
    case "url":
      return createBlob({ case: "uri", value: parseString(source.url, `${path}.url`) }, mediaType);
    case "file": {
      const id = parseString(source.file_id, `${path}.file_id`);
      return createBlob({ case: "fileId", value: id }, mediaType);
    }
    default:
      return undefined;
  }
}

function createBlob(source: Blob["source"], mediaType: string): Blob {
  return { $typeName: "weir.v1.Blob", source, mediaType };
}

function parseToolUse(block: JsonObject, path: string): Part {
  return {
    case: "toolCall",
    value: {
      $typeName: "weir.v1.ToolCall",
      id: parseString(block.id, `${path}.id`),
      name: parseString(block.name, `${path}.name`),
      arguments: encodeJson(block.input ?? {}, `${path}.input`),
      custom: false,
      signature: encodeCallExtras(block),
    },
  };
}

function parseToolResult(block: JsonObject, path: string): Part {
  const content = block.content;
  const absent = content === undefined || content === null;
  return {
    case: "toolResult",
    value: {
      $typeName: "weir.v1.ToolResult",
      toolCallId: parseString(block.tool_use_id, `${path}.tool_use_id`),
      parts: absent ? [] : parseContent(content, `${path}.content`),
      isError: parseOptionalBoolean(block.is_error, `${path}.is_error`) === true,
      name: "",
    },
  };
}

function createPart(part: Part): ContentPart {
  return { $typeName: "weir.v1.ContentPart", part };
}

function createText(text: string): { case: "text"; value: Text } {
  return { case: "text", value: { $typeName: "weir.v1.Text", text, citations: [] } };
}

function createReasoning(value: { text: string; signature: string; redacted: string }): Part {
  return { case: "reasoning", value: { $typeName: "weir.v1.ReasoningPart", ...value } };
}

function createVendor(block: JsonObject, path: string): Part {
  const json = encodeJson(block, path);
  return { case: "vendor", value: { $typeName: "weir.v1.VendorPart", dialect: "anthropic", json } };
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}
