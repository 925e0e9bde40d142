import { isUtf8 } from "node:buffer";
import { gunzip } from "node:zlib";
import type { CancellationListener } from "../../mesh/cancellation.ts";
import type { Timer } from "../../mesh/clock.ts";
import { MeshError } from "../../mesh/errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import { BodyPieces } from "../body-pieces.ts";
import type { BodyReader, Exchange } from "./exchange.ts";
import { locateJsonFault } from "./json-fault.ts";

/** A request's body, read and parsed. */
export interface JsonBody {
  readonly json: JsonObject;
  /** Its length after decompression, as UTF-8: what a model may read of it is no longer. */
  readonly bytes: number;
}

/**
 * Reads a request's JSON. Throws or rejects with REQUEST_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE,
 * INVALID_REQUEST naming the place, and CALLER_GONE.
 */
export function readJsonBody(exchange: Exchange): Promise<JsonBody> {
  const { headers } = exchange.http;
  if (headers["content-type"]?.startsWith("multipart/")) {
    throw new MeshError(
      "UNSUPPORTED_MEDIA_TYPE",
      "This route takes JSON, not a multipart form. Send content-type: application/json.",
    );
  }
  const zipped = readEncoding(headers["content-encoding"]);
  const declared = headers["content-length"];
  const max = exchange.options.bodyBytesMax;
  if (declared !== undefined && Number(declared) > max) throw tooLarge(max);
  return new Promise((resolve, reject) => {
    new BodyReading(exchange, zipped, resolve, reject).begin();
  });
}

/**
 * One body on its way. Whether the caller is gone is the call's to know. Settles once, and listens
 * to nothing afterwards.
 */
class BodyReading implements BodyReader, CancellationListener {
  readonly #exchange: Exchange;
  readonly #zipped: boolean;
  readonly #resolve: (body: JsonBody) => void;
  readonly #reject: (error: unknown) => void;
  readonly #pieces = new BodyPieces();
  #timer: Timer | undefined;

  constructor(
    exchange: Exchange,
    zipped: boolean,
    resolve: (body: JsonBody) => void,
    reject: (error: unknown) => void,
  ) {
    this.#exchange = exchange;
    this.#zipped = zipped;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  begin(): void {
    const { http, caller, options, house, call } = this.#exchange;
    if (http.version === "2.0") {
      this.#timer = house.clock.after(options.bodyTimeoutMs, () => this.#fail(tooSlow()));
    }
    caller.reader = this;
    call.cancellation.add(this);
  }

  cancel(cause: Error): void {
    this.#fail(cause);
  }

  takeData(chunk: Buffer): void {
    const max = this.#exchange.options.bodyBytesMax;
    this.#pieces.add(chunk);
    if (this.#pieces.bytes > max) this.#fail(tooLarge(max));
    else if (!holdBytes(this.#exchange, chunk.length)) this.#fail(tooBusy());
  }

  takeEnd(): void {
    this.#stop();
    const bytes = this.#pieces.join();
    if (this.#zipped) inflate(bytes, this.#exchange, this.#resolve, this.#reject);
    else settleJson(bytes, this.#exchange, this.#resolve, this.#reject);
  }

  #fail(error: Error): void {
    this.#stop();
    this.#reject(error);
  }

  #stop(): void {
    const { caller, call } = this.#exchange;
    this.#timer?.cancel();
    caller.reader = undefined;
    call.cancellation.remove(this);
  }
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

function settleJson(
  bytes: Buffer,
  exchange: Exchange,
  resolve: (body: JsonBody) => void,
  reject: (error: unknown) => void,
): void {
  try {
    const json = parseJsonObject(bytes, exchange.options.jsonDepthMax);
    // A byte that is no UTF-8 becomes a character of three.
    resolve({ json, bytes: isUtf8(bytes) ? bytes.length : bytes.length * 3 });
  } catch (thrown) {
    reject(thrown);
  }
}

/** Books memory for a request that is open; false when the door holds too much already. */
function holdBytes(exchange: Exchange, bytes: number): boolean {
  exchange.bodyBytes += bytes;
  exchange.load.bytes += bytes;
  return exchange.load.bytes <= exchange.options.openBytesMax;
}

function inflate(
  raw: Buffer,
  exchange: Exchange,
  resolve: (body: JsonBody) => void,
  reject: (error: unknown) => void,
): void {
  const max = exchange.options.bodyBytesMax;
  gunzip(raw, { maxOutputLength: max }, (error, bytes) => {
    const { cause } = exchange.call.cancellation;
    if (error !== null) {
      const bomb = "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
      reject(bomb ? tooLarge(max) : notGzip());
    } else if (cause !== undefined) reject(cause);
    else if (!holdBytes(exchange, bytes.length)) reject(tooBusy());
    else settleJson(bytes, exchange, resolve, reject);
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

function tooSlow(): MeshError {
  return new MeshError("DEADLINE_EXCEEDED", "The body did not arrive in time. Send it faster.");
}

function notGzip(): MeshError {
  return new MeshError("INVALID_REQUEST", "The body is said to be gzip and is not.");
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
