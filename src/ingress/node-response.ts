import { Writable } from "node:stream";
import { isFieldValue, isToken } from "./field-syntax.ts";
import type { HttpExchange } from "./http-exchange.ts";
import type { NodeRequest } from "./node-request.ts";

/** Header fields as node:http takes them: by name, or names and values in turn. */
export type FieldsGiven =
  | readonly string[]
  | Readonly<Record<string, number | string | readonly string[] | undefined>>;

type Done = (error?: Error | null) => void;

/** A response in the form of node:http's, for the doors that are written for that. */
export class NodeResponse extends Writable {
  statusCode = 200;
  readonly #exchange: HttpExchange;
  readonly #request: NodeRequest;
  #fields: string[] = [];
  #trailers: string[] | undefined;
  #headWritten = false;
  /** Called when the peer has taken what was written last. */
  #drained: Done | undefined;

  constructor(exchange: HttpExchange, request: NodeRequest) {
    // It closes with its exchange.
    super({ autoDestroy: false, decodeStrings: false });
    this.#exchange = exchange;
    this.#request = request;
  }

  get headersSent(): boolean {
    return this.#headWritten || this.#exchange.headersSent;
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
    this.#respond();
    process.nextTick(flush, this.#exchange);
    return this;
  }

  /** To be sent after the body. */
  addTrailers(fields: FieldsGiven): void {
    this.#trailers ??= [];
    for (const [name, value] of pairs(fields)) addField(this.#trailers, name.toLowerCase(), value);
  }

  override _write(part: Buffer | string, encoding: BufferEncoding, done: Done): void {
    this.#respond();
    const exchange = this.#exchange;
    if (exchange.write(toPart(part, encoding)) || exchange.closed) done();
    else this.#drained = done;
  }

  override _final(done: Done): void {
    this.#respond();
    this.#exchange.end(undefined, this.#trailers);
    // Whatever is left of the request is read and thrown away.
    this.#request.resume();
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#exchange.reset(error === null ? CANCEL : INTERNAL_ERROR);
    this.#drained = undefined;
    done(error);
  }

  /** For the exchange: the peer has caught up. */
  takeDrain(): void {
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.();
  }

  /** Hands the header over unless that was done. */
  #respond(): void {
    if (!this.#exchange.headersSent) this.#exchange.respond(this.statusCode, this.#fields);
  }

  #forget(name: string): void {
    const fields = this.#fields;
    for (let at = fields.length - 2; at >= 0; at -= 2) {
      if (fields[at] === name) fields.splice(at, 2);
    }
  }
}

function flush(exchange: HttpExchange): void {
  exchange.flush();
}

/** Text in an encoding other than UTF-8 leaves as bytes. */
function toPart(part: Buffer | string, encoding: BufferEncoding): Buffer | string {
  if (typeof part !== "string" || encoding === "utf8" || encoding === "utf-8") return part;
  return Buffer.from(part, encoding);
}

/** As HTTP/2 counts. */
const INTERNAL_ERROR = 2;
const CANCEL = 8;

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

/** Adds a field, once for each of its values. */
function addField(
  fields: string[],
  name: string,
  value: number | string | readonly string[],
): void {
  if (!isToken(name)) throw new TypeError(`"${name}" is no name of a header field.`);
  for (const each of typeof value === "object" ? value : [String(value)]) {
    if (!isFieldValue(each)) throw new TypeError(`The header field "${name}" is malformed.`);
    fields.push(name, each);
  }
}
