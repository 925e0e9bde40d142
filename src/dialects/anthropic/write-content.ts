import type {
  Blob,
  CacheBreakpoint,
  Citation,
  ContentPart,
  File,
  ReasoningPart,
  ToolCall,
  ToolResult,
} from "../../../gen/weir/v1/chat_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import { refuseField } from "./fields.ts";

/** A block as it grows. */
type Block = Record<string, JsonValue | undefined>;

/** What the blocks of one request have in common. */
export interface ContentNotes {
  /** What could not be carried over is written here. */
  readonly warnings: string[];
  /** Set when a block names a file that was uploaded at the vendor, which takes a beta header. */
  usesFiles: boolean;
}

/**
 * Parts as Anthropic's blocks. Parts that say nothing are left out, since Anthropic refuses blank
 * texts. Throws INVALID_REQUEST naming the part for what this dialect cannot say.
 */
export function writeBlocks(
  parts: readonly ContentPart[],
  path: string,
  notes: ContentNotes,
): JsonObject[] {
  const blocks: JsonObject[] = [];
  parts.forEach((part, index) => {
    const block = writeBlock(part, `${path}[${index}]`, notes);
    if (block === undefined) return;
    const cacheControl = writeCacheControl(part.cacheBreakpoint);
    const takesBreakpoint = part.part.case !== "reasoning" && part.part.case !== "vendor";
    if (cacheControl !== undefined && takesBreakpoint) block.cache_control = cacheControl;
    blocks.push(block);
  });
  return blocks;
}

/**
 * A breakpoint as `cache_control`; Anthropic keeps five minutes, or an hour when an hour or more is
 * asked for.
 */
export function writeCacheControl(breakpoint: CacheBreakpoint | undefined): JsonObject | undefined {
  if (breakpoint === undefined) return undefined;
  if (breakpoint.ttl === undefined) return { type: "ephemeral" };
  return { type: "ephemeral", ttl: breakpoint.ttl.seconds >= 3600n ? "1h" : "5m" };
}

/** Anthropic's own citations; those of other vendors cannot be sent to it. */
export function writeCitations(citations: readonly Citation[]): JsonObject[] {
  return citations.flatMap((citation) => {
    const raw = parseJson(citation.raw);
    return isJsonObject(raw) && /_location$/.test(String(raw.type)) ? [raw] : [];
  });
}

/** The JSON of a vendor part, or undefined when it is of another dialect or no object. */
export function parseVendorJson(part: { dialect: string; json: string }): JsonObject | undefined {
  if (part.dialect !== "anthropic") return undefined;
  const value = parseJson(part.json);
  return isJsonObject(value) ? value : undefined;
}

/**
 * Arguments of a tool call as the object that Anthropic wants: `{}` for none; undefined when they
 * are no object.
 */
export function parseArguments(call: ToolCall): JsonObject | undefined {
  if (call.custom) return { input: call.arguments };
  if (call.arguments.trim() === "") return {};
  const input = parseJson(call.arguments);
  return isJsonObject(input) ? input : undefined;
}

/**
 * What `encodeCallExtras` kept in a tool call's signature. Signatures of other vendors say nothing
 * here.
 */
export function decodeCallExtras(signature: string): JsonObject {
  if (!signature.startsWith("{")) return {};
  const extras = parseJson(signature);
  if (!isJsonObject(extras)) return {};
  const known = extras.caller !== undefined || extras.toolset_name !== undefined;
  return known ? extras : {};
}

function writeBlock(content: ContentPart, path: string, notes: ContentNotes): Block | undefined {
  const { part } = content;
  switch (part.case) {
    case "text": {
      const { text, citations } = part.value;
      if (text.trim() === "") return undefined;
      const kept = writeCitations(citations);
      return kept.length === 0 ? { type: "text", text } : { type: "text", text, citations: kept };
    }
    case "refusal":
      return part.value.text.trim() === "" ? undefined : { type: "text", text: part.value.text };
    case "image":
      return writeImage(part.value.blob, path, notes);
    case "file":
      return writeFile(part.value, path, notes);
    case "audio":
      if (part.value.transcript === "") throw refuseField(path, "this target takes no audio");
      notes.warnings.push(`${path}: audio is sent as its transcript`);
      return { type: "text", text: part.value.transcript };
    case "toolCall":
      return writeToolUse(part.value, path);
    case "toolResult":
      return writeToolResult(part.value, path, notes);
    case "reasoning":
      return writeThinking(part.value, path, notes);
    case "vendor": {
      const block = parseVendorJson(part.value);
      if (block !== undefined) return { ...block };
      throw refuseField(path, `this target cannot take a part of ${part.value.dialect}`);
    }
    case undefined:
      throw refuseField(path, "must have content");
    default:
      part satisfies never;
      return undefined;
  }
}

function writeImage(blob: Blob | undefined, path: string, notes: ContentNotes): Block {
  const source = blob?.source;
  if (source?.case === "data") {
    const mediaType = blob?.mediaType || sniffImage(source.value);
    return { type: "image", source: encodeBase64(source.value, mediaType) };
  }
  return { type: "image", source: writeReference(blob, path, notes) };
}

function writeFile(file: File, path: string, notes: ContentNotes): Block {
  const block: Block = { type: "document", source: writeDocumentSource(file.blob, path, notes) };
  if (file.name !== "") block.title = file.name;
  if (file.context !== "") block.context = file.context;
  if (file.citations !== undefined) block.citations = { enabled: file.citations };
  return block;
}

function writeDocumentSource(blob: Blob | undefined, path: string, notes: ContentNotes): Block {
  const source = blob?.source;
  if (source?.case !== "data") return writeReference(blob, path, notes);
  const { value } = source;
  const isPdf = Buffer.from(value.buffer, value.byteOffset, 4).toString("latin1") === "%PDF";
  const mediaType = blob?.mediaType || (isPdf ? "application/pdf" : "text/plain");
  if (!mediaType.startsWith("text/")) return encodeBase64(value, mediaType);
  return { type: "text", media_type: "text/plain", data: Buffer.from(value).toString("utf8") };
}

function writeReference(blob: Blob | undefined, path: string, notes: ContentNotes): Block {
  const source = blob?.source;
  if (source?.case === "fileId") {
    notes.usesFiles = true;
    return { type: "file", file_id: source.value };
  }
  if (source?.case !== "uri") throw refuseField(path, "must have a source");
  if (/^https?:\/\//i.test(source.value)) return { type: "url", url: source.value };
  throw refuseField(path, "this target fetches only http and https addresses");
}

function encodeBase64(bytes: Uint8Array, mediaType: string): Block {
  const { buffer, byteOffset, byteLength } = bytes;
  const data = Buffer.from(buffer, byteOffset, byteLength).toString("base64");
  return { type: "base64", media_type: mediaType, data };
}

/** Anthropic wants a media type; the first bytes tell it where the caller did not. */
function sniffImage(bytes: Uint8Array): string {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return "image/jpeg";
  if (bytes[0] === 0x47 && bytes[1] === 0x49) return "image/gif";
  if (bytes[0] === 0x52 && bytes[8] === 0x57) return "image/webp";
  return "image/png";
}

function writeToolUse(call: ToolCall, path: string): Block {
  const input = parseArguments(call);
  if (input === undefined) {
    throw refuseField(`${path}.tool_call.arguments`, "must be a JSON object");
  }
  const { id, name } = call;
  const extras = decodeCallExtras(call.signature);
  return { type: "tool_use", id: mapCallId(id), name, input, ...extras };
}

function writeToolResult(result: ToolResult, path: string, notes: ContentNotes): Block {
  const block: Block = { type: "tool_result", tool_use_id: mapCallId(result.toolCallId) };
  const blocks = writeBlocks(result.parts, `${path}.tool_result.parts`, notes);
  const [first] = blocks;
  const isPlain = blocks.length === 1 && first !== undefined && Object.keys(first).length === 2;
  if (isPlain && first.type === "text") block.content = first.text;
  else if (blocks.length > 0) block.content = blocks;
  if (result.isError) block.is_error = true;
  return block;
}

/** Anthropic refuses identifiers with other characters; call and result are mapped alike. */
function mapCallId(id: string): string {
  return id.replace(/[^a-zA-Z0-9_-]/g, "_");
}

/**
 * Thoughts without proof are refused by Anthropic, so they are left out: they are no part of what
 * was said.
 */
function writeThinking(part: ReasoningPart, path: string, notes: ContentNotes): Block | undefined {
  if (part.redacted !== "") return { type: "redacted_thinking", data: part.redacted };
  if (part.signature !== "") {
    return { type: "thinking", thinking: part.text, signature: part.signature };
  }
  notes.warnings.push(`${path}: reasoning without a signature is left out`);
  return undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
