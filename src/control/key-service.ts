import { create } from "@bufbuild/protobuf";
import type {
  CreateKeyRequest,
  RotateKeyRequest,
  WriteOptions,
  WriteResult,
} from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { type Key, type KeySecret, KeySecretSchema } from "../../gen/weir/admin/v1/team_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import { createTimestamp } from "../mesh/record.ts";
import { assertAdminRemains } from "./admin-remains.ts";
import { type Caller, hasPassed, toMilliseconds } from "./caller.ts";
import { checkDuration } from "./check-fields.ts";
import { createKeySecret, type NewSecret } from "./key-secret.ts";
import { keyKind } from "./kinds.ts";
import { assertMayWrite, mayRead } from "./permissions.ts";
import { createResource, type ResourceContext } from "./resources.ts";
import { createNotFound, showResources } from "./show-resources.ts";
import { assertName } from "./validate.ts";
import type { World } from "./world.ts";
import type { Plan } from "./writer.ts";

/** A key with its new secret; empty where it cannot be shown. */
export interface KeyWithSecret {
  readonly key: Key;
  readonly result: WriteResult;
  readonly secret: string;
}

const SECRETS_MAX = 5;
const DAY_MS = 86_400_000;
const OVERLAP_MAX_MS = 365 * DAY_MS;

/** Creates a key with a secret, which is shown this once. */
export async function createKey(
  context: ResourceContext,
  caller: Caller,
  request: CreateKeyRequest,
): Promise<KeyWithSecret> {
  const secret = createKeySecret(request.secret, context.clock.wallMs());
  const written = await createResource(context, caller, keyKind, {
    body: request.key,
    options: request.options,
    stamp: (key, world) => {
      assertUnused(world, secret);
      key.secrets = [secret.stored];
      key.prefix = secret.stored.prefix;
    },
  });
  return show(written.resource, written, secret, request.options);
}

/**
 * Gives a key a new secret; the old ones go on working for the overlap. Throws NOT_FOUND and
 * PERMISSION_DENIED.
 */
export async function rotateKey(
  context: ResourceContext,
  caller: Caller,
  request: RotateKeyRequest,
): Promise<KeyWithSecret> {
  const { name, options } = request;
  assertName(keyKind, name, "name");
  checkDuration("overlap", request.overlap, { minMs: 0, maxMs: OVERLAP_MAX_MS });
  const now = context.clock.wallMs();
  const secret = createKeySecret(request.secret, now);
  const endMs = now + (request.overlap === undefined ? DAY_MS : toMilliseconds(toTime(request)));
  let draft: Key | undefined;
  const plan = async (world: World): Promise<Plan> => {
    const stored = await context.store.get(name);
    const current = stored && keyKind.unwrap(stored.body);
    if (stored === undefined || current === undefined || !mayRead(world, caller, keyKind, name)) {
      throw createNotFound(name);
    }
    assertMayWrite(world, caller, keyKind, { before: current, after: current });
    assertUnused(world, secret);
    const next = keyKind.copy(current);
    const old = limitSecrets(current.secrets, { now, endMs });
    next.secrets = [secret.stored, ...old.slice(0, SECRETS_MAX - 1)];
    next.prefix = secret.stored.prefix;
    assertAdminRemains(world, current, next, now);
    draft = next;
    const dropped = old.length - (next.secrets.length - 1);
    const warnings =
      dropped > 0
        ? [`${name} has at most ${SECRETS_MAX} secrets: the oldest stops working now.`]
        : [];
    const body = keyKind.wrap(next);
    return {
      writes: [{ name, kind: "key", body, expected: stored.etag }],
      warnings,
      merged: false,
    };
  };
  const written = await context.writer.write({ actor: caller.key.name, options, name, plan });
  const stored = written.resources[0];
  const key = (stored && keyKind.unwrap(stored.body)) ?? draft;
  if (key === undefined) throw createNotFound(name);
  const [shown] = await showResources(context.store, keyKind, [key]);
  return show(shown ?? key, written, secret, options);
}

/** Old secrets with their end, those that have ended already left out. */
function limitSecrets(
  secrets: readonly KeySecret[],
  at: { readonly now: number; readonly endMs: number },
): KeySecret[] {
  if (at.endMs <= at.now) return [];
  return secrets
    .filter((secret) => !hasPassed(secret.expireTime, at.now))
    .map((secret) => {
      const own = secret.expireTime && toMilliseconds(secret.expireTime);
      const endMs = own === undefined ? at.endMs : Math.min(own, at.endMs);
      return create(KeySecretSchema, { ...secret, expireTime: createTimestamp(endMs) });
    });
}

function assertUnused(world: World, secret: NewSecret): void {
  if (!world.secrets.has(secret.sha256Hex)) return;
  // Which key it is would tell that somebody's guess was right.
  throw new MeshError("ALREADY_EXISTS", "This secret is taken. Leave it empty to have one made.", {
    field: "secret",
  });
}

function show(
  key: Key,
  written: { readonly result: WriteResult; readonly repeated: boolean },
  secret: NewSecret,
  options: WriteOptions | undefined,
): KeyWithSecret {
  const { result, repeated } = written;
  if (repeated) {
    result.warnings.push(
      "The secret was shown when this write was done first, and cannot be shown again. " +
        "RotateKey makes a new one.",
    );
  }
  const hidden = repeated || options?.validateOnly === true;
  return { key, result, secret: hidden ? "" : secret.text };
}

function toTime({ overlap }: RotateKeyRequest) {
  return createTimestamp(Number(overlap?.seconds ?? 0n) * 1000 + (overlap?.nanos ?? 0) / 1e6);
}
