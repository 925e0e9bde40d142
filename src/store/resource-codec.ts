import { fromJsonString, toJsonString } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Resource } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { ResourceSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { ChangeRow } from "./change-rows.ts";
import type { ResourceRow } from "./resource-rows.ts";
import type { StoredChange, StoredResource } from "./store.ts";
import { StoreError } from "./store.ts";

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

/** Throws StoreError when a body is not what this program can read. */
export function decodeChange(row: ChangeRow): StoredChange {
  return {
    ...row,
    before: row.before && decodeBody(row.before),
    after: row.after && decodeBody(row.after),
  };
}

/**
 * The body of a row, with `meta`. Unknown fields are refused: to drop part of a policy could loosen
 * it.
 */
function decodeBody(row: ResourceRow): Resource {
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
