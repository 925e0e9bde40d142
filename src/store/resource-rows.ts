import { createHash } from "node:crypto";
import type { SqlRow } from "./sql-session.ts";
import { readInteger, readText } from "./sql-session.ts";
import type { ResourceKind } from "./store.ts";
import { StoreError } from "./store.ts";

/** A row of `resources`. */
export interface ResourceRow {
  readonly name: string;
  readonly kind: ResourceKind;
  /** Protobuf JSON without `meta`. */
  readonly body: string;
  readonly etag: string;
  readonly revision: number;
  readonly createMs: number;
  readonly updateMs: number;
}

/** The columns that `readResourceRow` reads. */
export const resourceColumns = "name, kind, body, etag, revision, create_ms, update_ms";

export function readResourceRow(row: SqlRow): ResourceRow {
  return {
    name: readText(row, "name"),
    kind: readKind(row),
    body: readText(row, "body"),
    etag: readText(row, "etag"),
    revision: readInteger(row, "revision"),
    createMs: readInteger(row, "create_ms"),
    updateMs: readInteger(row, "update_ms"),
  };
}

export function readKind(row: SqlRow): ResourceKind {
  const word = readText(row, "kind");
  const kind = kinds.get(word);
  if (kind === undefined) throw new StoreError(`The store holds an unknown kind: ${word}.`);
  return kind;
}

/** Changes with every write of the resource, and never comes back. */
export function createEtag(name: string, revision: number): string {
  const digest = createHash("sha256").update(`${name}\n${revision}`).digest("base64url");
  return digest.slice(0, 16);
}

const kinds: ReadonlyMap<string, ResourceKind> = new Map<string, ResourceKind>([
  ["team", "team"],
  ["user", "user"],
  ["key", "key"],
  ["provider", "provider"],
  ["model", "model"],
  ["policy", "policy"],
]);
