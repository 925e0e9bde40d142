import { timingSafeEqual } from "node:crypto";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Key, Role } from "../../gen/weir/admin/v1/team_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import { hashSecret } from "./key-secret.ts";
import { teamOf } from "./kinds.ts";
import { listAncestors, type World } from "./world.ts";

/** Who calls the control plane. */
export interface Caller {
  readonly key: Key;
  /** The key's team: its role holds there and below. */
  readonly team: string;
  /** `users/{user}`, or empty. */
  readonly user: string;
  /** ROLE_UNSPECIFIED for a key that asks models: it may look at itself only. */
  readonly role: Role;
}

const SECRET_LENGTH_MAX = 512;

/**
 * The caller by its key: `authorization: Bearer wk_…`, else `x-api-key`. Throws CREDENTIAL_MISSING,
 * CREDENTIAL_UNKNOWN, CREDENTIAL_EXPIRED, CREDENTIAL_DISABLED.
 */
export function identifyCaller(world: World, headers: Headers, wallMs: number): Caller {
  const credential = readCredential(headers);
  const digest = hashSecret(credential);
  const found = world.secrets.get(digest);
  // The map has compared already; this comparison is the one that tells nobody how far it got.
  if (found === undefined || !timingSafeEqual(Buffer.from(digest, "hex"), found.secret.sha256)) {
    throw createUnknown();
  }
  const { key, secret } = found;
  if (hasPassed(key.expireTime, wallMs) || hasPassed(secret.expireTime, wallMs)) {
    throw new MeshError("CREDENTIAL_EXPIRED", "This key has expired. Ask for a new one.");
  }
  if (key.disabled) throw createDisabled("This key is disabled.");
  const team = teamOf(key.name);
  const ancestors = listAncestors(world, team);
  if (ancestors.length === 0) throw createDisabled("The team of this key is gone.");
  if (ancestors.some((each) => each.disabled)) {
    throw createDisabled("The team of this key is disabled.");
  }
  if (key.user !== "" && world.users.get(key.user)?.disabled !== false) {
    throw createDisabled("The user of this key is disabled or gone.");
  }
  return { key, team, user: key.user, role: key.adminRole };
}

/** Whether a time has come; an unset one never does. */
export function hasPassed(time: Timestamp | undefined, wallMs: number): boolean {
  return time !== undefined && toMilliseconds(time) <= wallMs;
}

export function toMilliseconds(time: Timestamp): number {
  return Number(time.seconds) * 1000 + Math.floor(time.nanos / 1e6);
}

function readCredential(headers: Headers): string {
  const authorization = headers.get("authorization");
  const bearer = /^bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
  const credential = bearer ?? (authorization === null ? headers.get("x-api-key") : null);
  if (credential === null || credential === "") {
    throw new MeshError(
      "CREDENTIAL_MISSING",
      "No key was given. Send `authorization: Bearer wk_…` with an administrative key.",
    );
  }
  if (credential.length > SECRET_LENGTH_MAX) throw createUnknown();
  return credential;
}

function createUnknown(): MeshError {
  return new MeshError(
    "CREDENTIAL_UNKNOWN",
    "This key is not known here. Check it for typing errors.",
  );
}

function createDisabled(what: string): MeshError {
  return new MeshError("CREDENTIAL_DISABLED", `${what} Ask your platform team.`);
}
