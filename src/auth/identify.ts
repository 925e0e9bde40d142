import { hash, timingSafeEqual } from "node:crypto";
import type { Key, Team } from "../../gen/weir/admin/v1/team_pb.ts";
import type { Clock } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Principal } from "../mesh/grant.ts";
import type { Snapshot } from "../mesh/snapshot.ts";
import { isPast } from "./expiry.ts";

/** Longer secrets are refused before they are hashed. */
const SECRET_BYTES_MAX = 512;
/**
 * A tree of teams is at most this deep; a deeper one is cut, and the control plane refuses to write
 * it.
 */
const TEAM_DEPTH_MAX = 32;

/**
 * Turns a credential into a principal: credential → SHA-256 → key → user and teams, all of which
 * must be enabled. The secret is hashed before anything else touches it. Principals are shared by
 * all calls of a key until the next change.
 *
 * Throws CREDENTIAL_MISSING, CREDENTIAL_UNKNOWN, CREDENTIAL_EXPIRED, CREDENTIAL_DISABLED, and
 * UNAVAILABLE before the first snapshot has come.
 */
export function createIdentify(
  current: () => Snapshot,
  clock: Clock,
): (credential: string | undefined) => Principal {
  let known = new WeakMap<Key, Principal>();
  let knownOf: Snapshot | undefined;
  let last: Identified | undefined;
  return (credential) => {
    const snapshot = current();
    if (snapshot !== knownOf) {
      known = new WeakMap();
      knownOf = snapshot;
      last = undefined;
    }
    const wallMs = clock.wallMs();
    // The door asks before it reads a body and the journey asks again, mostly within a millisecond.
    if (last !== undefined && last.wallMs === wallMs && last.credential === credential) {
      return last.principal;
    }
    if (snapshot.revision === 0) {
      throw new MeshError("UNAVAILABLE", "This proxy has no policy yet. Try again in a moment.", {
        retryAfterMs: 1000,
      });
    }
    const key = findKey(snapshot, credential, wallMs);
    let principal = known.get(key);
    if (principal === undefined) {
      principal = createPrincipal(snapshot, key);
      known.set(key, principal);
    }
    last = { credential, wallMs, principal };
    return principal;
  };
}

/** Who was asked about last, and when. */
interface Identified {
  readonly credential: string | undefined;
  readonly wallMs: number;
  readonly principal: Principal;
}

function findKey(snapshot: Snapshot, credential: string | undefined, wallMs: number): Key {
  if (credential === undefined || credential === "") {
    throw new MeshError(
      "CREDENTIAL_MISSING",
      "No API key was given. Send `Authorization: Bearer wk_…`.",
    );
  }
  if (credential.length > SECRET_BYTES_MAX) throw createUnknown();
  const digest = hash("sha256", credential, "hex");
  const found = snapshot.secrets.get(digest);
  if (found === undefined) throw createUnknown();
  // The map has compared already; this comparison is the one that tells nobody how far it got.
  if (!timingSafeEqual(Buffer.from(digest, "hex"), found.secret.sha256)) throw createUnknown();
  const { key, secret } = found;
  if (isPast(key.expireTime, wallMs) || isPast(secret.expireTime, wallMs)) {
    throw new MeshError("CREDENTIAL_EXPIRED", "This API key has expired. Ask for a new one.");
  }
  if (key.disabled) throw createDisabled("This API key is disabled.");
  return key;
}

function createPrincipal(snapshot: Snapshot, key: Key): Principal {
  const teams = listTeams(snapshot, teamOfKey(key));
  if (teams.length === 0) throw createDisabled("The team of this API key is gone.");
  const disabled = teams.find((team) => team.disabled);
  if (disabled !== undefined) throw createDisabled("The team of this API key is disabled.");
  if (key.user !== "" && snapshot.users.get(key.user)?.disabled !== false) {
    throw createDisabled("The user of this API key is disabled or gone.");
  }
  return { key, teams, user: key.user, adminRole: key.adminRole };
}

/** `teams/a/keys/b` belongs to `teams/a`. */
function teamOfKey(key: Key): string {
  return key.name.slice(0, key.name.indexOf("/keys/"));
}

function listTeams(snapshot: Snapshot, name: string): Team[] {
  const path: Team[] = [];
  let next = name;
  while (next !== "" && path.length < TEAM_DEPTH_MAX) {
    const team = snapshot.teams.get(next);
    if (team === undefined) return [];
    path.push(team);
    if (team.name === "teams/root") return path;
    next = team.parent === "" ? "teams/root" : team.parent;
  }
  return path;
}

function createUnknown(): MeshError {
  return new MeshError(
    "CREDENTIAL_UNKNOWN",
    "This API key is not known here. Check it for typing errors, or ask for a new one.",
  );
}

function createDisabled(what: string): MeshError {
  return new MeshError("CREDENTIAL_DISABLED", `${what} Ask your platform team.`);
}
