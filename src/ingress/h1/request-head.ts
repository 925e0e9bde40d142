import type { IncomingHttpHeaders } from "node:http";
import { BareHeaders } from "../bare-headers.ts";
import { FieldRole, findFieldName } from "./field-name.ts";
import {
  headTooLarge,
  malformed,
  noTunnel,
  RequestFault,
  unmetExpectation,
  wrongHost,
} from "./refusal.ts";
import { isHost, isTarget } from "./request-target.ts";

/** The head of a request: what it asks for, and how the rest of it is to be read. */
export class RequestHead {
  readonly method: string;
  readonly url: string;
  readonly version: "1.0" | "1.1";
  readonly headers: IncomingHttpHeaders = new BareHeaders();
  /** The body's length; undefined when it comes in chunks. */
  bodyBytes: number | undefined = 0;
  /** Whether the client means to use the connection again. */
  keepAlive: boolean;
  /** Whether the client waits with its body until it is told to go on. */
  expectsContinue = false;

  constructor(method: string, url: string, version: "1.0" | "1.1") {
    this.method = method;
    this.url = url;
    this.version = version;
    this.keepAlive = version === "1.1";
  }
}

/**
 * Reads the lines of a head, which are known to be sound as lines. Wherever two readers might
 * disagree about where a request ends or whom it is for, it is refused: two lengths, a length and
 * chunks, any coding but chunks, a folded line, a space before a colon. Throws RequestFault.
 */
export function parseRequestHead(text: string): RequestHead {
  const lineEnd = text.indexOf("\r");
  const head = parseRequestLine(text, lineEnd);
  const fields = new FieldReader(head.headers);
  fields.read(text, lineEnd + 2);
  conclude(head, fields);
  return head;
}

/** Reads the lines of trailers. Throws RequestFault. */
export function parseTrailers(text: string): IncomingHttpHeaders {
  const headers = new BareHeaders();
  const fields = new FieldReader(headers);
  fields.read(text, 0);
  // What they say about the message comes too late.
  if (fields.special !== 0) throw new RequestFault(malformed);
  return headers;
}

function parseRequestLine(text: string, end: number): RequestHead {
  const space = text.indexOf(" ");
  const method = text.slice(0, space);
  const versionAt = end - VERSION.length - 1;
  if (versionAt <= space || !text.startsWith(VERSION, versionAt)) refuse();
  const minor = text.charCodeAt(end - 1);
  if (minor !== ZERO && minor !== ONE) refuse();
  if (!methods.has(method)) throw new RequestFault(method === "CONNECT" ? noTunnel : malformed);
  const url = text.slice(space + 1, versionAt);
  if (!isTarget(url, method)) refuse();
  return new RequestHead(method, url, minor === ONE ? "1.1" : "1.0");
}

/** Reads fields into an object, and keeps in mind those that are about the message itself. */
class FieldReader {
  /** How many of the fields are about the message itself. */
  special = 0;
  hosts = 0;
  contentLength: string | undefined;
  transferEncoding: string | undefined;
  connection: string | undefined;
  expect: string | undefined;
  readonly #headers: IncomingHttpHeaders;

  constructor(headers: IncomingHttpHeaders) {
    this.#headers = headers;
  }

  read(text: string, start: number): void {
    let at = start;
    for (let count = 0; at < text.length; count += 1) {
      if (count === FIELDS_MAX) throw new RequestFault(headTooLarge);
      const colon = text.indexOf(":", at);
      const end = text.indexOf("\r", at);
      if (colon < 0 || colon > end) refuse();
      const field = findFieldName(text.slice(at, colon));
      if (field === undefined) refuse();
      let from = colon + 1;
      let to = end;
      while (from < to && isBlank(text.charCodeAt(from))) from += 1;
      while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
      const value = text.slice(from, to);
      if (field.role >= FieldRole.HOST) this.#takeSpecial(field.role, value);
      this.#add(field.name, field.role, value);
      at = end + 2;
    }
  }

  #add(name: string, role: FieldRole, value: string): void {
    const headers = this.#headers;
    const before = headers[name];
    if (before === undefined) headers[name] = role === FieldRole.SET_COOKIE ? [value] : value;
    else if (typeof before !== "string") before.push(value);
    else if (role === FieldRole.COOKIE) headers[name] = `${before}; ${value}`;
    else if (role !== FieldRole.SINGLE) headers[name] = `${before}, ${value}`;
  }

  #takeSpecial(role: FieldRole, value: string): void {
    this.special += 1;
    if (role === FieldRole.HOST) {
      this.hosts += 1;
      if (!isHost(value)) refuse();
    } else if (role === FieldRole.CONTENT_LENGTH) {
      if (this.contentLength !== undefined) refuse();
      this.contentLength = value;
    } else if (role === FieldRole.TRANSFER_ENCODING) {
      if (this.transferEncoding !== undefined) refuse();
      this.transferEncoding = value;
    } else if (role === FieldRole.CONNECTION) {
      this.connection = this.connection === undefined ? value : `${this.connection},${value}`;
    } else {
      if (this.expect !== undefined) refuse();
      this.expect = value;
    }
  }
}

/** What follows from the fields about the message itself. */
function conclude(head: RequestHead, fields: FieldReader): void {
  const { hosts, contentLength, transferEncoding, connection, expect } = fields;
  if (hosts !== 1 && (hosts > 1 || head.version === "1.1")) throw new RequestFault(wrongHost);
  if (connection !== undefined) head.keepAlive = readKeepAlive(connection, head.keepAlive);
  if (transferEncoding !== undefined) {
    if (transferEncoding.toLowerCase() !== "chunked") refuse();
    if (contentLength !== undefined || head.version === "1.0") refuse();
    head.bodyBytes = undefined;
  } else if (contentLength !== undefined) head.bodyBytes = readLength(contentLength);
  if (expect === undefined || head.version === "1.0") return;
  if (expect.toLowerCase() !== "100-continue") throw new RequestFault(unmetExpectation);
  head.expectsContinue = head.bodyBytes !== 0;
}

/** Whoever says "close" means it, whatever else they say. */
function readKeepAlive(connection: string, usual: boolean): boolean {
  if (connection === "keep-alive") return true;
  const words = connection.toLowerCase().split(",");
  let keeps = usual;
  for (const word of words) {
    const trimmed = word.trim();
    if (trimmed === "close") return false;
    if (trimmed === "keep-alive") keeps = true;
  }
  return keeps;
}

function readLength(text: string): number {
  let length = 0;
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - ZERO;
    if (digit < 0 || digit > 9) refuse();
    length = length * 10 + digit;
  }
  if (text === "" || text.length > LENGTH_DIGITS_MAX) refuse();
  return length;
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

function refuse(): never {
  throw new RequestFault(malformed);
}

/** No client has nearly as many; a head of short fields could have thousands. */
const FIELDS_MAX = 256;
/** Ten to this power is still a safe integer. */
const LENGTH_DIGITS_MAX = 15;
/** Without its last digit. */
const VERSION = " HTTP/1.";
const ZERO = 0x30;
const ONE = 0x31;
const SPACE = 0x20;
const TAB = 0x09;

/** Those that anything behind the port may have a use for, be it to refuse them. */
const methods: ReadonlySet<string> = new Set([
  ...["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
]);
