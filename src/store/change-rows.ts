import type { ResourceRow } from "./resource-rows.ts";
import { createEtag, readKind } from "./resource-rows.ts";
import type { SqlRow } from "./sql-session.ts";
import { readInteger, readOptionalText, readText } from "./sql-session.ts";
import type { ResourceKind } from "./store.ts";

/** A row of `changes`. */
export interface ChangeRow {
  readonly sequence: number;
  readonly revision: number;
  readonly name: string;
  readonly kind: ResourceKind;
  readonly before: ResourceRow | undefined;
  readonly after: ResourceRow | undefined;
  readonly actor: string;
  readonly reason: string;
  readonly requestId: string;
  readonly atMs: number;
}

/** The columns that `readChangeRow` reads. */
export const changeColumns =
  "sequence, revision, name, kind, body_before, before_revision, before_ms, body_after, " +
  "create_ms, actor, reason, request_id, at_ms";

export function readChangeRow(row: SqlRow): ChangeRow {
  const after = readOptionalText(row, "body_after");
  return {
    sequence: readInteger(row, "sequence"),
    revision: readInteger(row, "revision"),
    name: readText(row, "name"),
    kind: readKind(row),
    before: readBefore(row),
    after: after === undefined ? undefined : readAfter(row, after),
    actor: readText(row, "actor"),
    reason: readText(row, "reason"),
    requestId: readText(row, "request_id"),
    atMs: readInteger(row, "at_ms"),
  };
}

function readAfter(row: SqlRow, body: string): ResourceRow {
  const name = readText(row, "name");
  const revision = readInteger(row, "revision");
  return {
    name,
    kind: readKind(row),
    body,
    etag: createEtag(name, revision),
    revision,
    createMs: readInteger(row, "create_ms"),
    updateMs: readInteger(row, "at_ms"),
  };
}

function readBefore(row: SqlRow): ResourceRow | undefined {
  const body = readOptionalText(row, "body_before");
  if (body === undefined) return undefined;
  const name = readText(row, "name");
  const revision = readInteger(row, "before_revision");
  return {
    name,
    kind: readKind(row),
    body,
    etag: createEtag(name, revision),
    revision,
    createMs: readInteger(row, "create_ms"),
    updateMs: readInteger(row, "before_ms"),
  };
}
