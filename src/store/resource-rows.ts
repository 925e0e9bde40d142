import { createHash } from "node:crypto";
import { fromJsonString, toJsonString } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Resource } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { ResourceSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { SqlRow } from "./sql-session.ts";
import { readInteger, readText } from "./sql-session.ts";
import type { ResourceKind, StoredResource } from "./store.ts";
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

/** A body as it is kept: without `meta`, which belongs to the row. */
export function encodeBody(body: Resource): string {
  return toJsonString(ResourceSchema, withoutMeta(body));
}

/** The secrets of a body, by SHA-256 in hexadecimal; none for all but keys. */
export function listSecrets(body: Resource): readonly string[] {
  if (body.resource.case !== "key") return [];
  return body.resource.value.secrets.map((secret) => Buffer.from(secret.sha256).toString("hex"));
}

/** Throws StoreError when the body is not what this program can read. */
export function decodeResource(row: ResourceRow): StoredResource {
  const { name, kind, revision, etag } = row;
  return { name, kind, revision, etag, body: decodeBody(row) };
}

/** The body of a row, with `meta`. Unknown fields are refused: to drop part of a policy could loosen it. */
export function decodeBody(row: ResourceRow): Resource {
  let body: Resource;
  try {
    body = fromJsonString(ResourceSchema, row.body);
  } catch (cause) {
    throw new StoreError(
      `${row.name} was written by another version of Weir, and this one cannot read it. ` +
        "Run the version that wrote it.",
      cause,
    );
  }
  if (body.resource.value !== undefined) {
    body.resource.value.meta = {
      $typeName: "weir.admin.v1.Meta",
      etag: row.etag,
      revision: BigInt(row.revision),
      createTime: createTimestamp(row.createMs),
      updateTime: createTimestamp(row.updateMs),
    };
  }
  return body;
}

const kinds: ReadonlyMap<string, ResourceKind> = new Map<string, ResourceKind>([
  ["team", "team"],
  ["user", "user"],
  ["key", "key"],
  ["provider", "provider"],
  ["model", "model"],
  ["policy", "policy"],
]);

function withoutMeta(body: Resource): Resource {
  const inner = body.resource;
  switch (inner.case) {
    case "team":
      return wrap({ case: inner.case, value: omitMeta(inner.value) });
    case "user":
      return wrap({ case: inner.case, value: omitMeta(inner.value) });
    case "key":
      return wrap({ case: inner.case, value: omitMeta(inner.value) });
    case "provider":
      return wrap({ case: inner.case, value: omitMeta(inner.value) });
    case "model":
      return wrap({ case: inner.case, value: omitMeta(inner.value) });
    case "policy":
      return wrap({ case: inner.case, value: omitMeta(inner.value) });
    case undefined:
      throw new TypeError("a resource without a body");
    default:
      return inner satisfies never;
  }
}

function wrap(resource: Resource["resource"]): Resource {
  return { $typeName: "weir.admin.v1.Resource", resource };
}

function omitMeta<T extends { meta?: unknown }>(value: T): T {
  const copy = { ...value };
  delete copy.meta;
  return copy;
}

function createTimestamp(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return {
    $typeName: "google.protobuf.Timestamp",
    seconds: BigInt(seconds),
    nanos: (ms - seconds * 1000) * 1_000_000,
  };
}
