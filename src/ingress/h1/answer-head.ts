import { connectionFields, isToken } from "../field-syntax.ts";
import { formatHttpDate } from "../http-date.ts";

/** How the end of an answer's body is told. */
export const Framing = {
  /** There is none. */
  NONE: 0,
  /** By its length, said before. */
  LENGTH: 1,
  CHUNKED: 2,
  /** By the connection's end. */
  CLOSE: 3,
} as const;
export type Framing = (typeof Framing)[keyof typeof Framing];

/** What an answer's head depends on besides its own fields. */
export interface AnswerSetting {
  readonly method: string;
  readonly version: "1.0" | "1.1";
  /** Whether the connection may be used again. */
  keepAlive: boolean;
  /** What is said of a connection that is kept. */
  readonly keepAliveText: string;
}

/** The head of an answer, ready to be sent. */
export interface AnswerHead {
  readonly text: string;
  readonly framing: Framing;
  /** With Framing.LENGTH: bytes of the body. */
  readonly length: number;
  /** False when the connection has to end with the answer. */
  readonly keepAlive: boolean;
  /** Whether all of it is ASCII. */
  readonly ascii: boolean;
}

/**
 * Writes the head of an answer: `fields` are names in lower case, and values, in turn. Those about
 * the connection are left out. Throws a TypeError for what no header may have.
 */
export function createAnswerHead(
  status: number,
  fields: readonly string[],
  setting: AnswerSetting,
): AnswerHead {
  let text = "";
  let length: number | undefined;
  let ascii = true;
  let dated = false;
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const value = fields[at + 1] ?? "";
    if (!harmlessNames.has(name)) {
      if (connectionFields.has(name)) continue;
      if (name === "content-length") length = readLength(value);
      else if (name === "date") dated = true;
      else assertName(name);
    }
    if (!assertValue(name, value)) ascii = false;
    text += `${name}: ${value}\r\n`;
  }
  const { method, version } = setting;
  const bare = status === 204 || status === 304;
  let framing: Framing = Framing.CHUNKED;
  if (bare || method === "HEAD") framing = Framing.NONE;
  else if (length !== undefined) framing = Framing.LENGTH;
  else if (version === "1.0") framing = Framing.CLOSE;
  const keepAlive = setting.keepAlive && framing !== Framing.CLOSE;
  if (framing === Framing.CHUNKED) text += "transfer-encoding: chunked\r\n";
  const date = dated ? "" : `date: ${formatHttpDate()}\r\n`;
  const end = keepAlive ? setting.keepAliveText : "connection: close\r\n\r\n";
  const line = statusLines.get(status) ?? `HTTP/1.1 ${status} \r\n`;
  return { text: line + text + date + end, framing, length: length ?? 0, keepAlive, ascii };
}

/** Writes trailers. Throws a TypeError for what no trailer may have. */
export function writeTrailers(fields: readonly string[]): string {
  let text = "";
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const value = fields[at + 1] ?? "";
    if (connectionFields.has(name) || name === "content-length") continue;
    assertName(name);
    assertValue(name, value);
    text += `${name}: ${value}\r\n`;
  }
  return text;
}

function readLength(value: string): number {
  const length = Number(value);
  if (Number.isSafeInteger(length) && length >= 0) return length;
  throw new TypeError("An answer's content-length is no length.");
}

function assertName(name: string): void {
  if (!isToken(name)) throw new TypeError(`"${name}" is no name of a header field.`);
}

/** Returns whether it is ASCII. */
function assertValue(name: string, value: string): boolean {
  let all = 0;
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at);
    if (code < SPACE ? code !== TAB : code === DELETE || code > 0xff) {
      throw new TypeError(`The header field "${name}" has a character that it may not have.`);
    }
    all |= code;
  }
  return all < 0x80;
}

const TAB = 0x09;
const SPACE = 0x20;
const DELETE = 0x7f;

/** Names that need no look, since nothing follows from them. */
const harmlessNames: ReadonlySet<string> = new Set([
  ...["content-type", "x-request-id", "x-weir-overhead-us", "x-weir-attempts", "request-id"],
  ...["x-weir-policy-revision", "x-weir-target", "x-weir-cache", "x-weir-cost-usd"],
  ...["x-weir-warnings", "cache-control", "x-accel-buffering", "retry-after"],
]);

const statusLines: ReadonlyMap<number, string> = new Map(
  Object.entries({
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    424: "Failed Dependency",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    499: "Client Closed Request",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    529: "Overloaded",
  }).map(([status, words]) => [Number(status), `HTTP/1.1 ${status} ${words}\r\n`]),
);
