import { reflect } from "@bufbuild/protobuf/reflect";
import type { WriteOptions, WriteResult } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Key } from "../../gen/weir/admin/v1/team_pb.ts";
import type { Clock } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";
import type { ResourceWrite, Store } from "../store/store.ts";
import { assertAdminRemains } from "./admin-remains.ts";
import type { Caller } from "./caller.ts";
import { quote } from "./check-fields.ts";
import { restoreCredential, sealCredential } from "./credential.ts";
import { copyPaths, parseMask } from "./field-mask.ts";
import { type Body, type Kind, keyKind, providerKind } from "./kinds.ts";
import { assertMayWrite, mayRead } from "./permissions.ts";
import type { Sealer } from "./sealer.ts";
import { createNotFound, showResources } from "./show-resources.ts";
import { mergePaths } from "./stale-edit.ts";
import { assertDeletable, assertName, validate } from "./validate.ts";
import type { World, WorldKeeper } from "./world.ts";
import type { Plan, Writer } from "./writer.ts";

/** What the operations on resources stand on. */
export interface ResourceContext {
  readonly store: Store;
  readonly keeper: WorldKeeper;
  readonly writer: Writer;
  readonly sealer: Sealer;
  readonly clock: Clock;
}

/** A resource after a write, as callers may see it. */
export interface WrittenResource<T extends Body> {
  readonly resource: T;
  readonly result: WriteResult;
  /** True when the same write had been done before. */
  readonly repeated: boolean;
}

/** Returns a resource. Throws NOT_FOUND also for what the caller may not see. */
export async function getResource<T extends Body>(
  context: ResourceContext,
  caller: Caller,
  kind: Kind<T>,
  name: string,
): Promise<T> {
  assertName(kind, name, "name");
  const found = await readResource(context.store, kind, name);
  if (found === undefined || !mayRead(context.keeper.current, caller, kind, name)) {
    throw createNotFound(name);
  }
  const [shown] = await showResources(context.store, kind, [found]);
  return shown ?? found;
}

/** What a create is asked for. */
export interface CreateOrder<T extends Body> {
  readonly body: T | undefined;
  readonly options: WriteOptions | undefined;
  /** Fills in what the server writes, such as a key's secret. */
  readonly stamp?: (body: T, world: World) => void;
}

/** Creates a resource. Throws ALREADY_EXISTS and what validation throws. */
export async function createResource<T extends Body>(
  context: ResourceContext,
  caller: Caller,
  kind: Kind<T>,
  order: CreateOrder<T>,
): Promise<WrittenResource<T>> {
  const { name } = requireBody(kind, order.body);
  const { body, options, stamp } = order;
  let draft: T | undefined;
  const plan = async (world: World): Promise<Plan> => {
    const existing = await readResource(context.store, kind, name);
    const next = withoutServerFields(kind, requireBody(kind, body));
    assertMayWrite(world, caller, kind, { before: existing, after: next });
    if (existing !== undefined) {
      throw new MeshError("ALREADY_EXISTS", `There is a ${quote(name)} already. Update it.`, {
        metadata: { name },
      });
    }
    const planned = draftNew(context, kind, { body: next, world, stamp });
    draft = planned.draft;
    return planned.plan;
  };
  const written = await context.writer.write({ actor: caller.key.name, options, name, plan });
  return showWritten(context, kind, written, draft);
}

/** What an update is asked for. */
export interface UpdateOrder<T extends Body> {
  readonly body: T | undefined;
  /** Paths of the field mask; empty means all. */
  readonly paths: readonly string[];
  readonly options: WriteOptions | undefined;
  readonly allowMissing: boolean;
}

/**
 * Changes the fields that the mask names. Throws NOT_FOUND, ETAG_MISMATCH and what validation
 * throws.
 */
export async function updateResource<T extends Body>(
  context: ResourceContext,
  caller: Caller,
  kind: Kind<T>,
  order: UpdateOrder<T>,
): Promise<WrittenResource<T>> {
  const input = requireBody(kind, order.body);
  const { name } = input;
  const paths = parseMask(kind.desc, order.paths, kind.serverFields);
  let draft: T | undefined;
  const plan = async (world: World): Promise<Plan> => {
    const current = await readResource(context.store, kind, name);
    if (current === undefined && order.allowMissing) {
      const body = withoutServerFields(kind, input);
      assertMayWrite(world, caller, kind, { before: undefined, after: body });
      const planned = draftNew(context, kind, { body, world, stamp: undefined });
      draft = planned.draft;
      return planned.plan;
    }
    if (current === undefined || !mayRead(world, caller, kind, name)) throw createNotFound(name);
    const next = kind.copy(current);
    const from = kind.copy(input);
    const merged = await copyEdit(context.store, kind, { current, from, next, order, paths });
    assertMayWrite(world, caller, kind, { before: current, after: next });
    const warnings = finish(context, kind, { body: next, current, world });
    draft = next;
    if (kind.same(next, current)) return { writes: [], warnings, merged };
    assertAdminRemains(world, asKey(kind, current), asKey(kind, next), context.clock.wallMs());
    return { writes: [writeOf(kind, next, current.meta?.etag ?? "")], warnings, merged };
  };
  const { options } = order;
  const written = await context.writer.write({ actor: caller.key.name, options, name, plan });
  return showWritten(context, kind, written, draft);
}

/** What a delete is asked for. */
export interface DeleteOrder {
  readonly name: string;
  readonly etag: string;
  readonly options: WriteOptions | undefined;
}

/**
 * Deletes a resource. Throws NOT_FOUND, ETAG_MISMATCH, and FAILED_PRECONDITION while others name
 * it.
 */
export async function deleteResource<T extends Body>(
  context: ResourceContext,
  caller: Caller,
  kind: Kind<T>,
  order: DeleteOrder,
): Promise<WriteResult> {
  const { name, etag, options } = order;
  assertName(kind, name, "name");
  const plan = async (world: World): Promise<Plan> => {
    const stored = await context.store.get(name);
    const current = stored && kind.unwrap(stored.body);
    if (stored === undefined || current === undefined || !mayRead(world, caller, kind, name)) {
      throw createNotFound(name);
    }
    assertMayWrite(world, caller, kind, { before: current, after: undefined });
    if (etag !== "" && etag !== stored.etag) {
      throw new MeshError(
        "ETAG_MISMATCH",
        `${name} has changed since you read it. Read it again, and delete it again.`,
        { field: "etag", metadata: { base: etag, current: stored.etag } },
      );
    }
    assertDeletable(world, stored);
    assertAdminRemains(world, asKey(kind, current), undefined, context.clock.wallMs());
    const write = { name, kind: kind.kind, body: undefined, expected: stored.etag };
    return { writes: [write], warnings: [], merged: false };
  };
  const written = await context.writer.write({ actor: caller.key.name, options, name, plan });
  return written.result;
}

/**
 * Lays the caller's fields over the current ones; true when somebody else's change was kept beside
 * them.
 */
async function copyEdit<T extends Body>(
  store: Store,
  kind: Kind<T>,
  edit: {
    readonly current: T;
    readonly from: T;
    readonly next: T;
    readonly order: UpdateOrder<T>;
    readonly paths: ReturnType<typeof parseMask>;
  },
): Promise<boolean> {
  const { current, from, next, order, paths } = edit;
  // Only what the mask names may complain about a secret that is not there.
  const touches = paths.some(([first]) => first.name === "credential");
  if (touches) restore(kind, from, current);
  const etag = order.body?.meta?.etag ?? "";
  if (etag === "" || etag === current.meta?.etag) {
    copyPaths(kind.desc, paths, { from, to: next });
    return false;
  }
  const named = order.paths.length > 0 && !order.paths.includes("*") ? paths : [];
  const mergeable = await mergePaths(store, { kind, etag, current, input: from, paths: named });
  copyPaths(kind.desc, mergeable, { from, to: next });
  return true;
}

/** Validates and seals what is about to be written; returns the warnings. */
function finish<T extends Body>(
  context: ResourceContext,
  kind: Kind<T>,
  draft: { readonly body: T; readonly current: T | undefined; readonly world: World },
): string[] {
  const { body, current, world } = draft;
  const warnings = validate(kind, body, { world, wallMs: context.clock.wallMs() });
  const provider = providerKind.unwrap(kind.wrap(body));
  if (provider !== undefined) {
    const before = current && providerKind.unwrap(kind.wrap(current));
    sealCredential(provider, before, context.sealer);
  }
  return warnings;
}

function draftNew<T extends Body>(
  context: ResourceContext,
  kind: Kind<T>,
  order: {
    readonly body: T;
    readonly world: World;
    readonly stamp: ((body: T, world: World) => void) | undefined;
  },
): { readonly draft: T; readonly plan: Plan } {
  const { body, world, stamp } = order;
  restore(kind, body, undefined);
  stamp?.(body, world);
  const warnings = finish(context, kind, { body, current: undefined, world });
  const key = asKey(kind, body);
  if (key !== undefined && key.secrets.length === 0) {
    warnings.push(`${key.name} has no secret yet: RotateKey makes one.`);
  }
  return {
    draft: body,
    plan: { writes: [writeOf(kind, body, "absent")], warnings, merged: false },
  };
}

function restore<T extends Body>(kind: Kind<T>, body: T, current: T | undefined): void {
  const provider = providerKind.unwrap(kind.wrap(body));
  if (provider === undefined) return;
  restoreCredential(provider, current && providerKind.unwrap(kind.wrap(current)));
}

async function readResource<T extends Body>(
  store: Store,
  kind: Kind<T>,
  name: string,
): Promise<T | undefined> {
  const stored = await store.get(name);
  return stored && kind.unwrap(stored.body);
}

async function showWritten<T extends Body>(
  context: ResourceContext,
  kind: Kind<T>,
  written: Awaited<ReturnType<Writer["write"]>>,
  draft: T | undefined,
): Promise<WrittenResource<T>> {
  const stored = written.resources[0];
  const body = (stored && kind.unwrap(stored.body)) ?? draft;
  if (body === undefined) {
    throw new MeshError("NOT_FOUND", "This write was done before; its resource is gone since.");
  }
  const [resource] = await showResources(context.store, kind, [body]);
  return { resource: resource ?? body, result: written.result, repeated: written.repeated };
}

function requireBody<T extends Body>(kind: Kind<T>, body: T | undefined): T {
  if (body === undefined) {
    throw new MeshError("INVALID_REQUEST", `The request has no ${kind.kind}.`, {
      field: kind.kind,
    });
  }
  assertName(kind, body.name, `${kind.kind}.name`);
  return body;
}

function withoutServerFields<T extends Body>(kind: Kind<T>, body: T): T {
  const copy = kind.copy(body);
  const reflected = reflect(kind.desc, copy);
  for (const field of kind.desc.fields) {
    if (field.name !== "name" && kind.serverFields.has(field.name)) reflected.clear(field);
  }
  return copy;
}

function asKey<T extends Body>(kind: Kind<T>, body: T): Key | undefined {
  return keyKind.unwrap(kind.wrap(body));
}

function writeOf<T extends Body>(kind: Kind<T>, body: T, expected: string): ResourceWrite {
  return { name: body.name, kind: kind.kind, body: kind.wrap(body), expected };
}
