import { isToken } from "../field-syntax.ts";

/** The name of a header field, and what becomes of its value. */
export interface FieldName {
  /** In lower case. */
  readonly name: string;
  readonly role: FieldRole;
}

/** What becomes of a field, and of a second one of its name. */
export const FieldRole = {
  /** Joined with ", ". */
  LIST: 0,
  /** The first one counts, as with node:http. */
  SINGLE: 1,
  /** Joined with "; ". */
  COOKIE: 2,
  /** Kept apart. */
  SET_COOKIE: 3,
  /** From here on: those that say how the message is to be read, or how its connection goes on. */
  HOST: 4,
  CONTENT_LENGTH: 5,
  TRANSFER_ENCODING: 6,
  CONNECTION: 7,
  EXPECT: 8,
} as const;
export type FieldRole = (typeof FieldRole)[keyof typeof FieldRole];

/** A name as it was sent, judged; undefined when it is none. */
export function findFieldName(sent: string): FieldName | undefined {
  return known.get(sent) ?? judge(sent);
}

function judge(sent: string): FieldName | undefined {
  if (!isToken(sent)) return undefined;
  const lower = sent.toLowerCase();
  const found = { name: lower, role: roles.get(lower) ?? FieldRole.LIST };
  if (known.size < KNOWN_MAX && sent.length <= KNOWN_LENGTH_MAX) {
    // A copy: a piece of a head would keep all of it.
    known.set(Buffer.from(sent, "latin1").toString("latin1"), found);
  }
  return found;
}

/** Names that nobody has to look at twice. Strangers may fill it up, and gain nothing by it. */
const KNOWN_MAX = 1_000;
const KNOWN_LENGTH_MAX = 64;

/** Those of which node:http takes the first and forgets the rest. */
const singleNames = [
  ...["age", "authorization", "content-type", "etag", "expires", "from", "if-modified-since"],
  ...["if-unmodified-since", "last-modified", "location", "max-forwards", "proxy-authorization"],
  ...["referer", "retry-after", "server", "user-agent"],
];

const roles: ReadonlyMap<string, FieldRole> = new Map<string, FieldRole>([
  ...singleNames.map((name) => [name, FieldRole.SINGLE] as const),
  ["cookie", FieldRole.COOKIE],
  ["set-cookie", FieldRole.SET_COOKIE],
  ["host", FieldRole.HOST],
  ["content-length", FieldRole.CONTENT_LENGTH],
  ["transfer-encoding", FieldRole.TRANSFER_ENCODING],
  ["connection", FieldRole.CONNECTION],
  ["expect", FieldRole.EXPECT],
]);

const commonNames = [
  ...["accept", "accept-encoding", "accept-language", "anthropic-beta", "anthropic-version"],
  ...["api-key", "idempotency-key", "sec-fetch-mode", "traceparent", "tracestate", "x-api-key"],
  ...["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-request-id"],
  ...["x-stainless-arch", "x-stainless-async", "x-stainless-lang", "x-stainless-os"],
  ...["x-stainless-package-version", "x-stainless-retry-count", "x-stainless-runtime"],
  ...["x-stainless-runtime-version", "x-stainless-timeout", "x-weir-timeout-ms"],
];

/** By their spelling. */
const known = new Map<string, FieldName>();
for (const lower of [...roles.keys(), ...commonNames]) {
  const found = { name: lower, role: roles.get(lower) ?? FieldRole.LIST };
  known.set(lower, found);
  known.set(
    lower.replace(/(^|-)[a-z]/g, (initial) => initial.toUpperCase()),
    found,
  );
}
