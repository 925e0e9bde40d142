import { staticTable } from "./hpack-static-table.ts";

/** One header field, as it came, with what the rules of RFC 9113, 8.2 and 8.3 say of it. */
export interface HeaderField {
  readonly name: string;
  readonly value: string;
  readonly role: FieldRole;
  /** What it counts in a table and in a list: name, value, and 32. */
  readonly bytes: number;
  /** Why no message may have it; "" when it may. */
  readonly flaw: string;
}

/** What becomes of a field, and of a second one of its name. */
export const FieldRole = {
  /** Joined with ", ". */
  LIST: 0,
  /** The first one counts. */
  SINGLE: 1,
  /** Joined with "; ". */
  COOKIE: 2,
  /** Kept apart. */
  SET_COOKIE: 3,
  /** Must not differ. */
  CONTENT_LENGTH: 4,
  /** The pseudo fields of a request, from here on. */
  METHOD: 5,
  SCHEME: 6,
  AUTHORITY: 7,
  PATH: 8,
} as const;
export type FieldRole = (typeof FieldRole)[keyof typeof FieldRole];

/** Judges a field. Names and values have a character for each octet. */
export function createHeaderField(name: string, value: string): HeaderField {
  const role = roles.get(name) ?? FieldRole.LIST;
  const bytes = name.length + value.length + FIELD_OVERHEAD_BYTES;
  return { name, value, role, bytes, flaw: findFlaw(name, value, role) };
}

/** What RFC 7541, 4.1 adds to the octets of a field. */
const FIELD_OVERHEAD_BYTES = 32;

function findFlaw(name: string, value: string, role: FieldRole): string {
  if (!knownNames.has(name)) {
    if (name.charCodeAt(0) === COLON) return "A pseudo header field is not one of a request's.";
    if (!isEach(name, NAME_CHARACTER)) return "A field's name is malformed.";
  } else if (forbiddenNames.has(name)) {
    return `The field "${name}" is about a connection, which HTTP/2 does not allow.`;
  }
  if (!isFieldValue(value)) return "A field's value is malformed.";
  if (role === FieldRole.LIST) {
    const malformed = name === "te" && value.toLowerCase() !== "trailers";
    return malformed ? 'The field "te" may only say "trailers".' : "";
  }
  return isFit(value, role) ? "" : `The field "${name}" is malformed.`;
}

function isFit(value: string, role: FieldRole): boolean {
  switch (role) {
    case FieldRole.CONTENT_LENGTH:
      return value.length <= LENGTH_DIGITS_MAX && isEach(value, DIGIT);
    case FieldRole.METHOD:
      return isEach(value, METHOD_CHARACTER);
    case FieldRole.SCHEME:
      return isEach(value, SCHEME_CHARACTER);
    case FieldRole.PATH:
      return (value.startsWith("/") || value === "*") && isEach(value, VISIBLE);
    case FieldRole.AUTHORITY:
      return value === "" || isEach(value, VISIBLE);
    default:
      return true;
  }
}

/** Ten to this power is still a safe integer. */
const LENGTH_DIGITS_MAX = 15;
const COLON = 0x3a;
const SPACE = 0x20;
const TAB = 0x09;
const DELETE = 0x7f;

const NAME_CHARACTER = 1;
const METHOD_CHARACTER = 2;
const SCHEME_CHARACTER = 4;
const VISIBLE = 8;
const DIGIT = 16;

/** What each octet may be part of. */
const characters: Uint8Array = listCharacters();

function listCharacters(): Uint8Array {
  const kinds = new Uint8Array(256);
  const allow = (text: string, kind: number) => {
    for (const character of text) {
      const code = character.charCodeAt(0);
      kinds[code] = (kinds[code] ?? 0) | kind;
    }
  };
  const lower = "abcdefghijklmnopqrstuvwxyz";
  const digits = "0123456789";
  const token = "!#$%&'*+-.^_`|~";
  allow(token + digits + lower, NAME_CHARACTER);
  allow(token + digits + lower + lower.toUpperCase(), METHOD_CHARACTER);
  allow(`+-.${digits}${lower}${lower.toUpperCase()}`, SCHEME_CHARACTER);
  allow(digits, DIGIT);
  for (let code = SPACE + 1; code < 256; code += 1) {
    if (code !== DELETE) allow(String.fromCharCode(code), VISIBLE);
  }
  return kinds;
}

/** At least one character, and each of this kind. */
function isEach(text: string, kind: number): boolean {
  for (let at = 0; at < text.length; at += 1) {
    if (((characters[text.charCodeAt(at)] ?? 0) & kind) === 0) return false;
  }
  return text !== "";
}

/** No control characters but tabs, and no space at either end. */
function isFieldValue(value: string): boolean {
  const last = value.length - 1;
  for (let at = 0; at <= last; at += 1) {
    const code = value.charCodeAt(at);
    if (code > SPACE && code !== DELETE) continue;
    if ((code !== SPACE && code !== TAB) || at === 0 || at === last) return false;
  }
  return true;
}

/** Those of which node's own HTTP/2 takes the first and forgets the rest. */
const singleNames = [
  ...["age", "authorization", "content-encoding", "content-language", "content-location"],
  ...["content-range", "content-type", "date", "etag", "expires", "from", "host", "if-match"],
  ...["if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "last-modified"],
  ...["location", "max-forwards", "proxy-authorization", "range", "referer", "retry-after"],
  ...["user-agent", "access-control-request-method", "upgrade-insecure-requests"],
];

const roles: ReadonlyMap<string, FieldRole> = new Map<string, FieldRole>([
  ...singleNames.map((name) => [name, FieldRole.SINGLE] as const),
  ["cookie", FieldRole.COOKIE],
  ["set-cookie", FieldRole.SET_COOKIE],
  ["content-length", FieldRole.CONTENT_LENGTH],
  [":method", FieldRole.METHOD],
  [":scheme", FieldRole.SCHEME],
  [":authority", FieldRole.AUTHORITY],
  [":path", FieldRole.PATH],
]);

/** RFC 9113, 8.2.2. */
const forbiddenNames: ReadonlySet<string> = new Set([
  ...["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"],
]);

/** Of a response, so no request has it. */
const STATUS = ":status";

/** Whose characters need no look. */
const knownNames: ReadonlySet<string> = new Set([
  ...roles.keys(),
  ...forbiddenNames,
  ...staticTable.map(([name]) => name).filter((name) => name !== STATUS),
  ...["te", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "x-request-id"],
]);
