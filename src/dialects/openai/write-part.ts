import type { Blob, ContentPart, File } from "../../../gen/weir/v1/chat_pb.ts";
import { MeshError } from "../../mesh/errors.ts";
import { isJsonObject, type JsonValue } from "../../mesh/json.ts";
import { toBase64, writeBlobUrl } from "./blob.ts";
import { refuseField, type WireObject } from "./field.ts";
import { writeAudioFormat, writeCacheControl } from "./read-part.ts";
import type { Translation } from "./translation.ts";

/** One part of a message's content; undefined for one that stands elsewhere in the message. */
export function writeContentPart(
  content: ContentPart,
  translation: Translation,
  field: string,
): WireObject | undefined {
  const wire = writePart(content.part, translation, field);
  if (wire !== undefined && content.cacheBreakpoint !== undefined) {
    if (translation.traits.openRouter)
      wire.cache_control = writeCacheControl(content.cacheBreakpoint);
    else translation.warn("cache breakpoints left out: the target caches on its own");
  }
  return wire;
}

function writePart(
  part: ContentPart["part"],
  translation: Translation,
  field: string,
): WireObject | undefined {
  switch (part.case) {
    case "text":
      return { type: "text", text: part.value.text };
    case "image": {
      const url = writeBlobUrl(requireBlob(part.value.blob, field), "image/png");
      if (url === undefined) refuseField(field, "a picture by its bytes or its address here");
      const image: WireObject = { url };
      if (part.value.detail !== "") image.detail = part.value.detail;
      return { type: "image_url", image_url: image };
    }
    case "audio": {
      const blob = requireBlob(part.value.blob, field);
      if (blob.source.case !== "data") refuseField(field, "sound by its bytes here");
      const format = writeAudioFormat(blob.mediaType);
      return { type: "input_audio", input_audio: { data: toBase64(blob.source.value), format } };
    }
    case "file":
      return writeFile(part.value, translation, field);
    case "refusal":
      return { type: "refusal", refusal: part.value.text };
    case "vendor":
      return writeVendorPart(part.value, field);
    default:
      return undefined;
  }
}

function writeFile(file: File, translation: Translation, field: string): WireObject {
  if (file.context !== "") translation.warn("the context of a file left out");
  if (file.citations !== undefined) translation.warn("the wish to cite a file left out");
  const blob = requireBlob(file.blob, field);
  if (blob.source.case === "fileId") return { type: "file", file: { file_id: blob.source.value } };
  const text = readPlainText(blob);
  if (text !== undefined) return { type: "text", text };
  const wire: WireObject = { file_data: writeBlobUrl(blob, "application/pdf") };
  // OpenAI refuses data without a name.
  wire.filename = file.name || "document";
  return { type: "file", file: wire };
}

/** OpenAI takes no plain text as a file; the model reads it as well without the wrapping. */
function readPlainText(blob: Blob): string | undefined {
  if (blob.source.case !== "data" || !blob.mediaType.startsWith("text/")) return undefined;
  return Buffer.from(blob.source.value).toString("utf8");
}

function requireBlob(blob: Blob | undefined, field: string): Blob {
  return blob?.source.case === undefined ? refuseField(field, "content with a source") : blob;
}

/** Something that only one dialect has: as it was for this one, refused for any other. */
export function writeVendorPart(
  part: { readonly dialect: string; readonly json: string },
  field: string,
): WireObject {
  if (part.dialect !== "openai") {
    const owner = part.dialect || "another dialect";
    const message = `${field} is something that only ${owner} has. Leave it out.`;
    throw new MeshError("INVALID_REQUEST", message, { field });
  }
  const wire = parseJson(part.json);
  return isJsonObject(wire) ? { ...wire } : refuseField(field, "a JSON object as text");
}

/** The value of a JSON text; undefined when it is none. */
export function parseJson(text: string): JsonValue | undefined {
  try {
    const value: JsonValue = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}
