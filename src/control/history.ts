import { create, equals } from "@bufbuild/protobuf";
import {
  type Change,
  ChangeSchema,
  type DiffRevisionsRequest,
  type ListRevisionsRequest,
  type Resource,
  ResourceSchema,
  type RollbackToRequest,
  type WriteResult,
} from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { type Key, Role } from "../../gen/weir/admin/v1/team_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import { createTimestamp } from "../mesh/record.ts";
import type { ResourceWrite, Store, StoredChange } from "../store/store.ts";
import type { Caller } from "./caller.ts";
import { refuse } from "./check-fields.ts";
import { keyKind, scrubResource } from "./kinds.ts";
import type { Page } from "./list-resources.ts";
import { createPageToken, readNumberedToken, readPageSize } from "./page-token.ts";
import type { ResourceContext } from "./resources.ts";
import type { World } from "./world.ts";
import type { Plan } from "./writer.ts";

/** How many changes a difference or a rollback looks at. */
const CHANGES_MAX = 20_000;

/** What was changed, newest first, secrets left out. */
export async function listRevisions(
  store: Store,
  request: ListRevisionsRequest,
): Promise<Page<Change>> {
  const size = readPageSize(request.pageSize, { max: 1000, default: 100 });
  const scope = ["revisions", request.name];
  const beforeSequence = readNumberedToken(scope, request.pageToken);
  const page = { beforeSequence, name: request.name, limit: size + 1 };
  const found = await store.listChanges(page);
  const items = found.slice(0, size);
  const last = items.at(-1);
  const more = found.length > size && last !== undefined;
  return {
    items: items.map(mapChange),
    nextPageToken: more ? createPageToken(scope, String(last.sequence)) : "",
  };
}

/** One change for each resource that differs between two revisions. */
export async function diffRevisions(
  context: ResourceContext,
  request: DiffRevisionsRequest,
): Promise<readonly Change[]> {
  const { revision: current } = await context.keeper.refresh();
  const from = readRevision("from_revision", request.fromRevision, current);
  const to =
    request.toRevision === 0n ? current : readRevision("to_revision", request.toRevision, current);
  if (from > to) refuse("to_revision", "It must not be older than from_revision.");
  const changes = await readChanges(context.store, from);
  return foldChanges(changes.filter((change) => change.revision <= to)).map(mapChange);
}

/**
 * Restores every resource to a revision, as one new revision. Keys that still exist keep the
 * secrets of today.
 */
export async function rollbackTo(
  context: ResourceContext,
  caller: Caller,
  request: RollbackToRequest,
): Promise<{ readonly changes: readonly Change[]; readonly result: WriteResult }> {
  let undone: readonly StoredChange[] = [];
  const plan = async (world: World): Promise<Plan> => {
    const revision = readRevision("revision", request.revision, world.revision);
    undone = foldChanges(await readChanges(context.store, revision)).map(turnBack);
    undone = undone.filter((change) => !sameResource(change.before, change.after));
    const warnings: string[] = [];
    for (const change of undone) assertHarmless(world, caller, change, warnings);
    return { writes: undone.map(mapWrite), warnings, merged: false };
  };
  const { options } = request;
  const written = await context.writer.write({ actor: caller.key.name, options, name: "", plan });
  if (!written.repeated) return { changes: undone.map(mapChange), result: written.result };
  const revision = Number(written.result.revision);
  const repeated = await context.store.changesSince(revision - 1, CHANGES_MAX);
  const same = repeated.filter((change) => change.revision === revision);
  return { changes: same.map(mapChange), result: written.result };
}

/** The way back: what was becomes what is to be. */
function turnBack(change: StoredChange): StoredChange {
  const { before: target, after: current } = change;
  const key = target && keyKind.unwrap(target);
  const present = current && keyKind.unwrap(current);
  if (key === undefined || present === undefined) {
    return { ...change, before: current, after: target };
  }
  // A secret that was rotated away, perhaps because it leaked, must not come back to life.
  const kept = keyKind.copy(key);
  kept.secrets = present.secrets;
  kept.prefix = present.prefix;
  return { ...change, before: current, after: keyKind.wrap(kept) };
}

function assertHarmless(
  world: World,
  caller: Caller,
  { name, before, after }: StoredChange,
  warnings: string[],
): void {
  const key = after && keyKind.unwrap(after);
  if (name === caller.key.name && !mayComeBack(key)) {
    throw new MeshError(
      "FAILED_PRECONDITION",
      `At that revision ${name} could not administer: you would lock yourself out. Roll back ` +
        "with an older key.",
    );
  }
  if (key === undefined || before !== undefined) return;
  for (const secret of key.secrets) {
    const owner = world.secrets.get(Buffer.from(secret.sha256).toString("hex"));
    if (owner === undefined) continue;
    throw new MeshError(
      "FAILED_PRECONDITION",
      `${name} would come back with the secret that ${owner.key.name} has now. Delete or ` +
        "rotate that first.",
    );
  }
  warnings.push(`${name} had been deleted: it is back, and its secret of that time works again.`);
}

function mayComeBack(key: Key | undefined): boolean {
  return key !== undefined && key.adminRole === Role.PLATFORM_ADMIN && !key.disabled;
}

function mapWrite({ name, kind, before, after }: StoredChange): ResourceWrite {
  return { name, kind, body: after, expected: before?.resource.value?.meta?.etag ?? "absent" };
}

async function readChanges(store: Store, revision: number): Promise<readonly StoredChange[]> {
  const changes = await store.changesSince(revision, CHANGES_MAX + 1);
  if (changes.length <= CHANGES_MAX) return changes;
  throw new MeshError(
    "FAILED_PRECONDITION",
    `More than ${CHANGES_MAX} changes came since revision ${revision}. Go in smaller steps.`,
  );
}

/**
 * For each resource what it was first and what it is last; those that are as they were are left
 * out.
 */
function foldChanges(changes: readonly StoredChange[]): readonly StoredChange[] {
  const folded = new Map<string, StoredChange>();
  for (const change of changes) {
    const first = folded.get(change.name);
    folded.set(change.name, first === undefined ? change : { ...change, before: first.before });
  }
  return [...folded.values()].filter((change) => !sameResource(change.before, change.after));
}

function sameResource(a: Resource | undefined, b: Resource | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return equals(ResourceSchema, withoutMeta(a), withoutMeta(b));
}

function withoutMeta(resource: Resource): Resource {
  const copy = create(ResourceSchema, { resource: resource.resource });
  if (copy.resource.value !== undefined) {
    copy.resource.value = { ...copy.resource.value, meta: undefined };
  }
  return copy;
}

function readRevision(field: string, asked: bigint, current: number): number {
  const revision = Number(asked);
  if (revision >= 1 && revision <= current) return revision;
  refuse(field, `It must be a revision from 1 to ${current}, the current one.`);
}

function mapChange(change: StoredChange): Change {
  const { before, after } = change;
  return create(ChangeSchema, {
    revision: BigInt(change.revision),
    name: change.name,
    ...(before === undefined ? {} : { before: scrubResource(before) }),
    ...(after === undefined ? {} : { after: scrubResource(after) }),
    actor: change.actor,
    reason: change.reason,
    requestId: change.requestId,
    createTime: createTimestamp(change.atMs),
  });
}
