import type { Blob } from "../../../gen/weir/v1/chat_pb.ts";
import { refuseField } from "./field.ts";

/** A `data:` URL by its bytes, any other address by reference. */
export function readBlobUrl(url: string, field: string): Blob {
  if (!url.startsWith("data:")) return createBlob({ case: "uri", value: url }, "");
  const comma = url.indexOf(",");
  if (comma < 0) refuseField(field, "a whole data: URL");
  const [mediaType = "", ...parameters] = url.slice(5, comma).split(";");
  if (parameters.includes("base64")) {
    return createBlob(
      { case: "data", value: Buffer.from(url.slice(comma + 1), "base64") },
      mediaType,
    );
  }
  try {
    const text = decodeURIComponent(url.slice(comma + 1));
    return createBlob({ case: "data", value: Buffer.from(text) }, mediaType);
  } catch {
    return refuseField(field, "a data: URL with base64 or percent encoding");
  }
}

/** The address that readBlobUrl() reads; undefined for a file that was uploaded at the vendor. */
export function writeBlobUrl(blob: Blob, mediaTypeElse: string): string | undefined {
  const { source } = blob;
  if (source.case === "uri") return source.value;
  if (source.case !== "data") return undefined;
  const mediaType = blob.mediaType || guessMediaType(source.value) || mediaTypeElse;
  return `data:${mediaType};base64,${toBase64(source.value)}`;
}

export function createBlob(source: Blob["source"], mediaType: string): Blob {
  return { $typeName: "weir.v1.Blob", source, mediaType };
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** Media types of pictures and documents by their first bytes, for callers who give none. */
function guessMediaType(bytes: Uint8Array): string {
  const head = Buffer.from(bytes.subarray(0, 12)).toString("latin1");
  if (head.startsWith("\x89PNG")) return "image/png";
  if (head.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (head.startsWith("GIF8")) return "image/gif";
  if (head.startsWith("RIFF") && head.endsWith("WEBP")) return "image/webp";
  return head.startsWith("%PDF") ? "application/pdf" : "";
}
