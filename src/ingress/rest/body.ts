import { gunzip } from "node:zlib";
import { MeshError } from "../../mesh/errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import type { Exchange } from "./exchange.ts";
import { locateJsonFault } from "./json-fault.ts";

/** A request's body, read and parsed. */
export interface JsonBody {
  readonly json: JsonObject;
  /** Its length after decompression. */
  readonly bytes: number;
}

/**
 * Reads a request's JSON. Throws REQUEST_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST naming
 * the place, and CALLER_GONE.
 */
export async function readJsonBody(exchange: Exchange): Promise<JsonBody> {
  const { request, options } = exchange;
  const type = request.headers["content-type"];
  if (type?.startsWith("multipart/")) {
    throw new MeshError(
      "UNSUPPORTED_MEDIA_TYPE",
      "This route takes JSON, not a multipart form. Send content-type: application/json.",
    );
  }
  const zipped = readEncoding(request.headers["content-encoding"]);
  const raw = await readBytes(exchange);
  const bytes = zipped ? await inflate(raw, exchange) : raw;
  return { json: parseJsonObject(bytes, options.jsonDepthMax), bytes: bytes.length };
}

/** Whether the body is gzip. No other encoding is taken: each is one more bomb to defuse. */
function readEncoding(encoding: string | undefined): boolean {
  if (encoding === undefined || encoding === "" || encoding === "identity") return false;
  const name = encoding.trim().toLowerCase();
  if (name === "gzip" || name === "x-gzip") return true;
  if (name === "identity") return false;
  throw new MeshError(
    "UNSUPPORTED_MEDIA_TYPE",
    "This content-encoding is not understood. Send the body as it is (identity) or as gzip.",
  );
}

function readBytes(exchange: Exchange): Promise<Buffer> {
  const { request, options, house } = exchange;
  const max = options.bodyBytesMax;
  const declared = request.headers["content-length"];
  if (declared !== undefined && Number(declared) > max) return Promise.reject(tooLarge(max));
  return new Promise((resolve, reject) => {
    let first: Buffer | undefined;
    let rest: Buffer[] | undefined;
    let length = 0;
    const onData = (chunk: Buffer) => {
      length += chunk.length;
      if (length > max) {
        stop();
        reject(tooLarge(max));
      } else if (!holdBytes(exchange, chunk.length)) {
        stop();
        reject(tooBusy());
      } else if (first === undefined) first = chunk;
      else if (rest === undefined) rest = [first, chunk];
      else rest.push(chunk);
    };
    const onEnd = () => {
      stop();
      resolve(rest === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(rest, length));
    };
    const onGone = () => {
      stop();
      reject(new MeshError("CALLER_GONE", "The caller went away before its request was complete."));
    };
    const onSlow = () => {
      stop();
      reject(
        new MeshError("DEADLINE_EXCEEDED", "The body did not arrive in time. Send it faster."),
      );
    };
    const timer =
      request.httpVersionMajor === 1 ? undefined : house.clock.after(options.bodyTimeoutMs, onSlow);
    const stop = () => {
      timer?.cancel();
      request.removeListener("data", onData);
      request.removeListener("end", onEnd);
      request.removeListener("error", onGone);
      request.removeListener("close", onGone);
    };
    request.on("data", onData);
    request.on("end", onEnd);
    request.on("error", onGone);
    request.on("close", onGone);
  });
}

async function inflate(raw: Buffer, exchange: Exchange): Promise<Buffer> {
  const bytes = await gunzipTo(raw, exchange.options.bodyBytesMax);
  exchange.call.cancellation.throwIfCancelled();
  if (!holdBytes(exchange, bytes.length)) throw tooBusy();
  return bytes;
}

/** Books memory for a request that is open; false when the door holds too much already. */
function holdBytes(exchange: Exchange, bytes: number): boolean {
  exchange.bodyBytes += bytes;
  exchange.load.bytes += bytes;
  return exchange.load.bytes <= exchange.options.openBytesMax;
}

function gunzipTo(raw: Buffer, max: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    gunzip(raw, { maxOutputLength: max }, (error, bytes) => {
      if (error === null) resolve(bytes);
      else if ("code" in error && error.code === "ERR_BUFFER_TOO_LARGE") reject(tooLarge(max));
      else reject(new MeshError("INVALID_REQUEST", "The body is said to be gzip and is not."));
    });
  });
}

/** Bytes → JSON object. Throws INVALID_REQUEST naming the place. */
export function parseJsonObject(bytes: Buffer, depthMax: number): JsonObject {
  const text = bytes.toString();
  const json = parseJson(text);
  if (!isJsonObject(json)) {
    throw new MeshError(
      "INVALID_REQUEST",
      `The body must be a JSON object, not ${nameKind(json)}.`,
    );
  }
  // Each level takes two bytes at least, so a short body needs no look.
  if (bytes.length > 2 * depthMax && isDeeper(json, depthMax)) {
    throw new MeshError(
      "INVALID_REQUEST",
      `The body's JSON is nested deeper than ${depthMax} levels. Flatten it.`,
    );
  }
  return json;
}

function parseJson(text: string): JsonValue {
  try {
    return JSON.parse(text);
  } catch {
    if (text.trim() === "") {
      throw new MeshError("INVALID_REQUEST", "The body is empty. Send a JSON object.");
    }
    // The engine's own message quotes the body, which would then stand in logs.
    const { line, column, offset } = locateJsonFault(text);
    throw new MeshError(
      "INVALID_REQUEST",
      `The body is no JSON: it goes wrong at line ${line}, column ${column} (position ${offset}).`,
    );
  }
}

/** Whether a value is nested deeper than `depth` levels. Recurses no deeper than that itself. */
function isDeeper(value: JsonValue | undefined, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (depth === 0) return true;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i += 1) {
      if (isDeeper(value[i], depth - 1)) return true;
    }
    return false;
  }
  if (!isJsonObject(value)) return false;
  for (const name in value) {
    if (isDeeper(value[name], depth - 1)) return true;
  }
  return false;
}

function tooLarge(max: number): MeshError {
  const cap = max % 1_048_576 === 0 ? `${max / 1_048_576} MB (${max} bytes)` : `${max} bytes`;
  return new MeshError(
    "REQUEST_TOO_LARGE",
    `The request's body is larger than the cap of ${cap}, counted after decompression. Send less.`,
    { metadata: { limit: String(max) } },
  );
}

function tooBusy(): MeshError {
  return new MeshError(
    "UNAVAILABLE",
    "Too many large requests are open at once. Send this one again a little later.",
  );
}

function nameKind(value: JsonValue): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return `a ${typeof value}`;
}
