import type { Audio, CacheBreakpoint, ContentPart, File } from "../../../gen/weir/v1/chat_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import { createBlob, readBlobUrl } from "./blob.ts";
import { readString, requireObject, requireString, writeJson } from "./field.ts";

/**
 * One part of a message's content. A kind that is not known is kept as it is, for vendors of this
 * dialect.
 */
export function readContentPart(wire: JsonObject, field: string): ContentPart {
  const content: ContentPart = { $typeName: "weir.v1.ContentPart", part: readPart(wire, field) };
  const cache = readCacheControl(wire.cache_control);
  if (cache !== undefined) content.cacheBreakpoint = cache;
  return content;
}

function readPart(wire: JsonObject, field: string): ContentPart["part"] {
  switch (requireString(wire.type, `${field}.type`)) {
    case "text": {
      const text = requireString(wire.text, `${field}.text`);
      return { case: "text", value: { $typeName: "weir.v1.Text", text, citations: [] } };
    }
    case "image_url": {
      const given = wire.image_url;
      // Some engines take the address itself in place of the object.
      const image =
        typeof given === "string" ? { url: given } : requireObject(given, `${field}.image_url`);
      const url = requireString(image.url, `${field}.image_url.url`);
      const blob = readBlobUrl(url, `${field}.image_url.url`);
      const detail = readString(image.detail, `${field}.image_url.detail`) ?? "";
      return { case: "image", value: { $typeName: "weir.v1.Image", blob, detail } };
    }
    case "input_audio":
      return { case: "audio", value: readAudio(wire.input_audio, `${field}.input_audio`) };
    case "file":
      return { case: "file", value: readFile(wire.file, `${field}.file`) };
    case "refusal": {
      const text = requireString(wire.refusal, `${field}.refusal`);
      return { case: "refusal", value: { $typeName: "weir.v1.Refusal", text } };
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

/** Media types of OpenAI's words for encodings; any other word is taken as a subtype. */
const audioTypes = new Map([
  ["mp3", "audio/mpeg"],
  ["pcm16", "audio/pcm"],
]);

function readAudio(value: JsonValue | undefined, field: string): Audio {
  const audio = requireObject(value, field);
  const data = Buffer.from(requireString(audio.data, `${field}.data`), "base64");
  const format = readString(audio.format, `${field}.format`) ?? "";
  const mediaType = format === "" ? "" : (audioTypes.get(format) ?? `audio/${format}`);
  const blob = createBlob({ case: "data", value: data }, mediaType);
  return { $typeName: "weir.v1.Audio", blob, id: "", transcript: "" };
}

/** OpenAI's word for the encoding of a media type. */
export function writeAudioFormat(mediaType: string): string {
  for (const [format, type] of audioTypes) if (type === mediaType) return format;
  return /^audio\/(?:x-|vnd\.)?(?:wave?$)?(.*)$/.exec(mediaType)?.[1] || "wav";
}

function readFile(value: JsonValue | undefined, field: string): File {
  const file = requireObject(value, field);
  const fileId = readString(file.file_id, `${field}.file_id`);
  const blob =
    fileId === undefined
      ? readFileData(requireString(file.file_data, `${field}.file_data`), `${field}.file_data`)
      : createBlob({ case: "fileId", value: fileId }, "");
  const name = readString(file.filename, `${field}.filename`) ?? "";
  return { $typeName: "weir.v1.File", blob, name, context: "" };
}

/** A `data:` URL, an address as OpenRouter takes it, or bare base64. */
function readFileData(data: string, field: string): ReturnType<typeof readBlobUrl> {
  if (/^(data:|https?:)/.test(data)) return readBlobUrl(data, field);
  return createBlob({ case: "data", value: Buffer.from(data, "base64") }, "");
}

/** `cache_control`, as OpenRouter and others took it over from Anthropic. */
export function readCacheControl(value: JsonValue | undefined): CacheBreakpoint | undefined {
  if (!isJsonObject(value)) return undefined;
  const breakpoint: CacheBreakpoint = { $typeName: "weir.v1.CacheBreakpoint" };
  const found = typeof value.ttl === "string" ? /^(\d+)(s|m|h)$/.exec(value.ttl) : null;
  if (found !== null) {
    const unit = found[2] === "h" ? 3600 : found[2] === "m" ? 60 : 1;
    const seconds = BigInt(Number(found[1]) * unit);
    breakpoint.ttl = { $typeName: "google.protobuf.Duration", seconds, nanos: 0 };
  }
  return breakpoint;
}

/** The same as `cache_control`. */
export function writeCacheControl(breakpoint: CacheBreakpoint): JsonObject {
  const seconds = Number(breakpoint.ttl?.seconds ?? 0n);
  if (seconds === 0) return { type: "ephemeral" };
  if (seconds % 3600 === 0) return { type: "ephemeral", ttl: `${seconds / 3600}h` };
  return seconds % 60 === 0
    ? { type: "ephemeral", ttl: `${seconds / 60}m` }
    : { type: "ephemeral", ttl: `${seconds}s` };
}
