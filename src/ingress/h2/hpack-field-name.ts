import { staticTable } from "./hpack-static-table.ts";

/** What the encoder knows of a field's name. */
export interface FieldName {
  readonly text: string;
  /** In the static table; 0 when it is not there. */
  readonly index: number;
  /** The static index of each value that the static table has. */
  readonly values: ReadonlyMap<string, number> | undefined;
  /** Where its values are in the dynamic table; -1 when they are never put there. */
  readonly slot: number;
  /** No proxy on the way may put it into a table either. */
  readonly secret: boolean;
}

/**
 * The name of a field to send, in lower case. Throws a TypeError when it has a character that no
 * name may have: a program's mistake, not a peer's.
 */
export function findFieldName(text: string): FieldName {
  return names.get(text) ?? rememberName(text);
}

function rememberName(text: string): FieldName {
  const lower = text.toLowerCase();
  const name = names.get(lower) ?? createFieldName(lower);
  if (names.size < NAMES_MAX) names.set(text, name);
  return name;
}

function createFieldName(text: string): FieldName {
  if (!NAME.test(text)) throw new TypeError("A field's name has a character that it may not have.");
  const index = staticTable.findIndex(([name]) => name === text) + 1;
  return {
    text,
    index,
    values: listStaticValues(text),
    slot: constantNames.indexOf(text),
    secret: secretNames.has(text),
  };
}

function listStaticValues(text: string): ReadonlyMap<string, number> | undefined {
  const values = new Map<string, number>();
  for (const [at, [name, value]] of staticTable.entries()) {
    if (name === text && value !== "") values.set(value, at + 1);
  }
  return values.size === 0 ? undefined : values;
}

const NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** Fields whose few values come again and again on a connection. */
const constantNames = [
  ...[":status", "content-type", "grpc-status", "grpc-accept-encoding", "grpc-encoding"],
  ...["x-weir-attempts", "x-weir-policy-revision", "x-weir-target", "x-weir-cache"],
  ...["cache-control", "vary", "server", "x-content-type-options", "accept-encoding"],
  ...["access-control-allow-origin", "access-control-expose-headers"],
  ...["access-control-allow-methods", "access-control-allow-headers", "access-control-max-age"],
  ...["connect-accept-encoding", "connect-protocol-version", "connect-content-encoding"],
];

/** Small ones can be guessed from the length of what is sent, once they are in a table. */
const secretNames: ReadonlySet<string> = new Set([
  ...["set-cookie", "authorization", "cookie", "proxy-authorization", "www-authenticate"],
  ...["x-api-key"],
]);

/** Names that upstreams make up must not be kept without end. */
const NAMES_MAX = 1000;

const names = new Map<string, FieldName>();
