import type { Duration } from "@bufbuild/protobuf/wkt";
import type { Price } from "../../gen/weir/v1/usage_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import { isJsonObject } from "../mesh/json.ts";

/** Throws INVALID_REQUEST about a field, in a sentence that says what would be right. */
export function refuse(field: string, message: string): never {
  throw new MeshError("INVALID_REQUEST", message, { field });
}

/** A name as it may stand in an error: cut, so that nobody writes a novel into the log. */
export function quote(text: string): string {
  return `"${text.length > 100 ? `${text.slice(0, 100)}…` : text}"`;
}

/** What most kinds have: a name for people, and labels with the limits of weir.v1.Chat. */
export function checkNaming(
  at: string,
  body: { readonly displayName: string; readonly labels: Readonly<Record<string, string>> },
): void {
  if (body.displayName.length > 200 || hasControlCharacters(body.displayName)) {
    refuse(`${at}.display_name`, "A display name has at most 200 characters in one line.");
  }
  const labels = Object.entries(body.labels);
  if (labels.length > 32) refuse(`${at}.labels`, "There are at most 32 labels.");
  for (const [key, value] of labels) {
    if (!/^[a-z0-9_.-]{1,63}$/.test(key)) {
      refuse(`${at}.labels`, `The label ${quote(key)} must be 1 to 63 of a-z, 0-9, _, . and -.`);
    }
    if (Buffer.byteLength(value) > 255 || hasControlCharacters(value)) {
      refuse(`${at}.labels`, `The value of label ${key} has at most 255 bytes in one line.`);
    }
  }
}

export function checkCount(field: string, count: number, max: number): void {
  if (count > max) refuse(field, `There are at most ${max}, not ${count}.`);
}

/** Patterns that are names, or end in `*`. */
export function checkPatterns(field: string, patterns: readonly string[]): void {
  checkCount(field, patterns.length, 1000);
  for (const pattern of patterns) {
    const star = pattern.indexOf("*");
    if (pattern === "" || pattern.length > 300 || (star >= 0 && star !== pattern.length - 1)) {
      refuse(field, `${quote(pattern)} must be a name, or end in its only *.`);
    }
  }
}

/**
 * Headers that Weir lays on upstream calls. Credentials and what frames a message are not for here.
 */
export function checkHeaders(field: string, headers: Readonly<Record<string, string>>): void {
  checkCount(field, Object.keys(headers).length, 50);
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[a-z0-9!#$%&'*+.^_`|~-]{1,100}$/.test(name)) {
      refuse(field, `${quote(name)} is no name of a header in lower case.`);
    }
    if (reservedHeaders.has(name)) {
      refuse(field, `The header ${name} is Weir's to write: use \`credential\` for secrets.`);
    }
    if (!/^[\x20-\x7e\t]{0,4096}$/.test(value)) {
      refuse(field, `The value of header ${name} must be at most 4096 printable ASCII characters.`);
    }
  }
}

const reservedHeaders: ReadonlySet<string> = new Set([
  "authorization",
  "proxy-authorization",
  "x-api-key",
  "api-key",
  "cookie",
  "host",
  "connection",
  "content-length",
  "content-type",
  "transfer-encoding",
  "upgrade",
  "keep-alive",
  "te",
  "trailer",
  "expect",
  "accept-encoding",
]);

export function checkDuration(
  field: string,
  duration: Duration | undefined,
  range: { readonly minMs: number; readonly maxMs: number },
): void {
  if (duration === undefined) return;
  const ms = Number(duration.seconds) * 1000 + duration.nanos / 1e6;
  if (!(ms >= range.minMs && ms <= range.maxMs)) {
    refuse(field, `It must be from ${range.minMs / 1000} to ${range.maxMs / 1000} seconds.`);
  }
}

/** Empty, or a JSON object. */
export function checkJsonObject(field: string, text: string): void {
  if (text === "") return;
  if (text.length > 64 * 1024) refuse(field, "It has at most 65,536 characters.");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    refuse(field, `It is no JSON: ${error instanceof Error ? error.message : "unreadable"}.`);
  }
  if (!isJsonObject(value)) refuse(field, 'It must be a JSON object, such as {"top_k": 40}.');
}

export function checkPrice(field: string, price: Price, isTier = false): void {
  for (const [name, value] of Object.entries(price)) {
    if (typeof value !== "bigint") continue;
    if (value < 0n || value > PRICE_MAX) refuse(field, `${name} must be from 0 to ${PRICE_MAX}.`);
  }
  if (isTier && price.tiers.length > 0) refuse(field, "A tier's price has no tiers of its own.");
  checkCount(field, price.tiers.length, 20);
  let above = 0;
  for (const tier of price.tiers) {
    if (tier.aboveInputTokens <= above) refuse(field, "Tiers begin above 0, in rising order.");
    if (tier.price === undefined) refuse(field, "Each tier needs a price.");
    above = tier.aboveInputTokens;
    checkPrice(field, tier.price, true);
  }
}

/** A million dollars for a million tokens: more is a slip of units. */
const PRICE_MAX = 1_000_000_000_000_000n;

/** Names in a list of capabilities. */
export function checkCapabilities(field: string, names: readonly string[]): void {
  for (const name of names) {
    if (!capabilities.has(name)) {
      refuse(field, `${quote(name)} is no capability: use ${[...capabilities].join(", ")}.`);
    }
  }
}

const capabilities: ReadonlySet<string> = new Set([
  "chat",
  "embed",
  "tools",
  "images",
  "audio",
  "files",
  "json_schema",
  "reasoning",
]);

function hasControlCharacters(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}
