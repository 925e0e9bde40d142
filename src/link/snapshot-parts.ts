import { toBinary } from "@bufbuild/protobuf";
import { type Resource, ResourceSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { SnapshotPart } from "../../gen/weir/link/v1/link_service_pb.ts";
import type { SnapshotChange } from "../mesh/snapshot.ts";

/**
 * Most bytes of one part, but for a resource that is larger by itself: what is decoded at once
 * holds up requests.
 */
const PART_BYTES_MAX = 256 * 1024;
const PART_DELETIONS_MAX = 5000;

/** Splits a change into parts; at least one, the last one marked. */
export function* splitChange(change: SnapshotChange): Generator<SnapshotPart> {
  const { upserts, deletions } = change;
  let upsert = 0;
  let deletion = 0;
  for (;;) {
    const end = findPartEnd(upserts, upsert);
    const deletionEnd = Math.min(deletions.length, deletion + PART_DELETIONS_MAX);
    const last = end === upserts.length && deletionEnd === deletions.length;
    yield {
      $typeName: "weir.link.v1.SnapshotPart",
      revision: BigInt(change.revision),
      baseRevision: BigInt(change.baseRevision),
      upserts: upserts.slice(upsert, end),
      deletions: deletions.slice(deletion, deletionEnd),
      last,
      installationId: change.installationId,
    };
    if (last) return;
    upsert = end;
    deletion = deletionEnd;
  }
}

/** Puts parts together again. */
export interface ChangeAssembler {
  /**
   * The change, with its last part; undefined before. A part of another change drops what has come
   * of the one before.
   */
  add(part: SnapshotPart): SnapshotChange | undefined;
}

export function createChangeAssembler(): ChangeAssembler {
  let parts: SnapshotPart[] = [];
  return {
    add: (part) => {
      const first = parts[0];
      const same =
        first?.revision === part.revision &&
        first.baseRevision === part.baseRevision &&
        first.installationId === part.installationId;
      if (!same) parts = [];
      parts.push(part);
      if (!part.last) return undefined;
      const whole = parts;
      parts = [];
      return {
        revision: Number(part.revision),
        baseRevision: Number(part.baseRevision),
        installationId: part.installationId,
        upserts: whole.flatMap((one) => one.upserts),
        deletions: whole.flatMap((one) => one.deletions),
      };
    },
  };
}

function findPartEnd(upserts: readonly Resource[], from: number): number {
  let bytes = 0;
  let end = from;
  for (; end < upserts.length; end++) {
    const resource = upserts[end];
    if (resource === undefined) break;
    bytes += toBinary(ResourceSchema, resource).length;
    if (end > from && bytes > PART_BYTES_MAX) break;
  }
  return end;
}
