import { Writable } from "node:stream";
import { systemClock } from "../../mesh/clock.ts";
import { ErrorCode } from "./frames.ts";
import type { H2Request } from "./h2-request.ts";
import type { H2Stream } from "./h2-stream.ts";

/** Header fields as node:http takes them: by name, or names and values in turn. */
export type FieldsGiven =
  | readonly string[]
  | Readonly<Record<string, number | string | readonly string[] | undefined>>;

type Done = (error?: Error | null) => void;

/** A response on a stream in the form of node:http's, for the doors that are written for that. */
export class H2Response extends Writable {
  statusCode = 200;
  readonly #stream: H2Stream;
  readonly #request: H2Request;
  #fields: string[] = [];
  #trailers: string[] | undefined;
  #headWritten = false;
  /** Called when the peer has taken what was written last. */
  #drained: Done | undefined;

  constructor(stream: H2Stream, request: H2Request) {
    // It closes with its stream.
    super({ autoDestroy: false, decodeStrings: true });
    this.#stream = stream;
    this.#request = request;
  }

  get headersSent(): boolean {
    return this.#headWritten || this.#stream.headersSent;
  }

  /** Sets a field of the header, in place of one of its name. Throws when it cannot be sent. */
  setHeader(name: string, value: number | string | readonly string[]): this {
    this.#forget(name.toLowerCase());
    addField(this.#fields, name.toLowerCase(), value);
    return this;
  }

  /**
   * Completes the header; these fields take the place of those that were set. It leaves with what
   * is written next, or by itself within this turn.
   */
  writeHead(status: number, fields: FieldsGiven = []): this {
    if (this.headersSent) return this;
    this.statusCode = status;
    const given = [...pairs(fields)];
    if (this.#fields.length > 0) for (const [name] of given) this.#forget(name.toLowerCase());
    for (const [name, value] of given) addField(this.#fields, name.toLowerCase(), value);
    this.#headWritten = true;
    process.nextTick(sendHead, this);
    return this;
  }

  /** Tells a client that waits for it to go on with its body. */
  writeContinue(): void {
    this.#stream.inform([":status", "100"]);
  }

  /** To be sent after the body. */
  addTrailers(fields: FieldsGiven): void {
    this.#trailers ??= [];
    for (const [name, value] of pairs(fields)) addField(this.#trailers, name.toLowerCase(), value);
  }

  /** Sends the header unless it was sent. */
  sendHead(ends = false): void {
    if (this.#stream.headersSent || this.#stream.closed) return;
    const fields = [":status", String(this.statusCode)];
    for (const field of this.#fields) fields.push(field);
    if (!this.#has("date")) fields.push("date", formatNow());
    this.#stream.respond(fields, ends);
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.sendHead();
    const isHead = this.#request.method === "HEAD";
    if (isHead || this.#stream.write(bytes) || this.#stream.closed) done();
    else this.#drained = done;
  }

  override _final(done: Done): void {
    const trailers = this.#trailers;
    const bare = trailers === undefined || trailers.length === 0;
    if (bare && !this.#stream.headersSent) this.sendHead(true);
    else {
      this.sendHead();
      this.#stream.end(undefined, bare ? undefined : trailers);
    }
    // Whatever is left of the request is read and thrown away.
    this.#request.resume();
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#stream.reset(error === null ? ErrorCode.CANCEL : ErrorCode.INTERNAL_ERROR);
    this.#drained = undefined;
    done(error);
  }

  /** For the stream: the peer has caught up. */
  takeDrain(): void {
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.();
  }

  #has(name: string): boolean {
    return this.#fields.some((field, at) => at % 2 === 0 && field === name);
  }

  #forget(name: string): void {
    const fields = this.#fields;
    for (let at = fields.length - 2; at >= 0; at -= 2) {
      if (fields[at] === name) fields.splice(at, 2);
    }
  }
}

function sendHead(response: H2Response): void {
  response.sendHead();
}

function* pairs(
  fields: FieldsGiven,
): Generator<readonly [name: string, value: number | string | readonly string[]]> {
  if (isList(fields)) {
    for (let at = 0; at < fields.length; at += 2) yield [fields[at] ?? "", fields[at + 1] ?? ""];
    return;
  }
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) yield [name, value];
  }
}

function isList(fields: FieldsGiven): fields is readonly string[] {
  return Array.isArray(fields);
}

/** Adds a field, once for each of its values. What HTTP/2 has no use for is left out. */
function addField(
  fields: string[],
  name: string,
  value: number | string | readonly string[],
): void {
  if (ofConnection.has(name)) return;
  if (!FIELD_NAME.test(name)) throw new TypeError(`"${name}" is no name of a header field.`);
  if (typeof value === "object") for (const each of value) fields.push(name, each);
  else fields.push(name, String(value));
}

const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const ofConnection: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

let dateText = "";
let dateUntilMs = 0;

/** The time as header fields tell it, worked out once a second. */
function formatNow(): string {
  const nowMs = systemClock.wallMs();
  if (nowMs >= dateUntilMs || nowMs < dateUntilMs - 1000) {
    dateText = new Date(nowMs).toUTCString();
    dateUntilMs = nowMs - (nowMs % 1000) + 1000;
  }
  return dateText;
}
