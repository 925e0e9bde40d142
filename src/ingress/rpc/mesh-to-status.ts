import { type Code, ConnectError } from "@connectrpc/connect";
import { MeshError } from "../../mesh/errors.ts";
import { encodeStatus, mapStatus } from "../../mesh/status.ts";

/** How an error ends a gRPC call. */
export interface StatusTrailers {
  readonly "grpc-status": string;
  readonly "grpc-message": string;
  readonly "grpc-status-details-bin": string;
}

/** An error as the trailers of the gRPC protocol. Nothing internal is in them. */
export function createStatusTrailers(error: MeshError, requestId: string): StatusTrailers {
  const status = mapStatus(tellCaller(error, requestId));
  return {
    "grpc-status": String(status.code),
    "grpc-message": encodeGrpcMessage(status.message),
    "grpc-status-details-bin": encodeBinaryValue(encodeStatus(status)),
  };
}

/** An error as connect-node sends it, with the same code, text and details. */
export function createConnectError(error: MeshError, requestId: string): ConnectError {
  const { message, code, details } = mapStatus(tellCaller(error, requestId));
  const connectCode: Code = code;
  return new ConnectError(message, connectCode, undefined, [...details], error);
}

/** A text as the `grpc-message` trailer has it: percent-encoded UTF-8, but for printable ASCII. */
export function encodeGrpcMessage(text: string): string {
  if (PRINTABLE.test(text)) return text;
  let encoded = "";
  for (const byte of Buffer.from(text)) {
    if (byte >= 0x20 && byte <= 0x7e && byte !== 0x25) encoded += String.fromCharCode(byte);
    else encoded += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** Printable ASCII without the percent sign. */
const PRINTABLE = /^[\x20-\x24\x26-\x7e]*$/;

/**
 * Some gRPC clients refuse trailers beyond 8 KiB, and the text travels in them up to three times,
 * encoded.
 */
const MESSAGE_BYTES_MAX = 900;

/**
 * The error with all that its caller may know: the request's id and the vendor's own words for the
 * fault.
 */
function tellCaller(error: MeshError, requestId: string): MeshError {
  const metadata: Record<string, string> = { ...error.details.metadata, request_id: requestId };
  for (const name in metadata) metadata[name] = limit(metadata[name] ?? "");
  const { upstream } = error.details;
  if (upstream !== undefined) {
    if (upstream.status > 0) metadata.upstream_status = String(upstream.status);
    if (upstream.type !== "") metadata.upstream_type = limit(upstream.type);
    if (upstream.code !== "") metadata.upstream_code = limit(upstream.code);
    if (upstream.param !== "") metadata.upstream_param = limit(upstream.param);
  }
  return new MeshError(error.reason, limit(error.message), { ...error.details, metadata });
}

function limit(text: string): string {
  if (text.length * 3 <= MESSAGE_BYTES_MAX) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= MESSAGE_BYTES_MAX) return text;
  // A character that was cut in two has become U+FFFD.
  return `${bytes.toString("utf8", 0, MESSAGE_BYTES_MAX).replace(/\ufffd$/, "")}…`;
}

/** Base64 without padding, as the gRPC protocol wants it of senders. */
function encodeBinaryValue(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
  const padding = text.indexOf("=");
  return padding < 0 ? text : text.slice(0, padding);
}
