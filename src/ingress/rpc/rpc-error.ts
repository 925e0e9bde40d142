import { errorToJson } from "@connectrpc/connect/protocol-connect";
import type { MeshError } from "../../mesh/errors.ts";
import { createConnectError, createStatusTrailers } from "./mesh-to-status.ts";
import { retryAfterSeconds } from "./retry-after.ts";

/** A whole response that tells an error in the protocol of its request. */
export interface RpcErrorAnswer {
  readonly status: number;
  readonly headers: Record<string, string>;
  /** Undefined when the headers tell it all. */
  readonly body: Buffer | undefined;
}

/**
 * Tells an error in the protocol that the request's content type shows, for requests that no
 * handler of that protocol takes: gRPC and gRPC-Web by status fields, Connect by JSON, its streams
 * by an end-of-stream message.
 */
export function createRpcErrorAnswer(
  contentType: string | undefined,
  error: MeshError,
  requestId: string,
): RpcErrorAnswer {
  const type = contentType ?? "";
  if (GRPC.test(type)) {
    const headers = {
      "content-type": type,
      "x-request-id": requestId,
      ...createStatusTrailers(error, requestId),
    };
    return { status: 200, headers, body: undefined };
  }
  const json = errorToJson(createConnectError(error, requestId), undefined);
  if (CONNECT_STREAM.test(type)) {
    const body = frameEndOfStream(Buffer.from(JSON.stringify({ error: json })));
    return { status: 200, headers: { "content-type": type, "x-request-id": requestId }, body };
  }
  const body = Buffer.from(JSON.stringify(json));
  const headers: Record<string, string> = {
    "content-type": "application/json",
    "content-length": String(body.length),
    "x-request-id": requestId,
  };
  const seconds = retryAfterSeconds(error);
  if (seconds !== undefined) headers["retry-after"] = String(seconds);
  return { status: error.row.http, headers, body };
}

/** A response in the form of node:http's. */
export interface WritableResponse {
  statusCode: number;
  readonly headersSent: boolean;
  setHeader(name: string, value: string): unknown;
  end(): unknown;
  end(body: Uint8Array): unknown;
}

/** Sends the answer of createRpcErrorAnswer(). */
export function sendRpcError(response: WritableResponse, answer: RpcErrorAnswer): void {
  if (response.headersSent) return;
  response.statusCode = answer.status;
  for (const name in answer.headers) response.setHeader(name, answer.headers[name] ?? "");
  // Without a body the header itself ends an HTTP/2 stream, as gRPC wants it of an error without an
  // answer.
  if (answer.body === undefined) response.end();
  else response.end(answer.body);
}

const GRPC = /^application\/grpc(-web|-web-text)?(\+|;|$)/i;
const CONNECT_STREAM = /^application\/connect\+/i;
const END_OF_STREAM_FLAG = 2;

function frameEndOfStream(json: Buffer): Buffer {
  const frame = Buffer.alloc(5 + json.length);
  frame[0] = END_OF_STREAM_FLAG;
  frame.writeUInt32BE(json.length, 1);
  json.copy(frame, 5);
  return frame;
}
