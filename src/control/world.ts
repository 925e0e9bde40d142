import type { Resource } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Model } from "../../gen/weir/admin/v1/model_pb.ts";
import type { Policy } from "../../gen/weir/admin/v1/policy_pb.ts";
import type { Provider } from "../../gen/weir/admin/v1/provider_pb.ts";
import type { Key, KeySecret, Team, User } from "../../gen/weir/admin/v1/team_pb.ts";
import type { PolicyStore } from "../store/store.ts";

/**
 * All resources as of one revision, in memory: what writes are checked against and callers are
 * known by.
 */
export interface World {
  readonly revision: number;
  readonly teams: ReadonlyMap<string, Team>;
  readonly users: ReadonlyMap<string, User>;
  readonly keys: ReadonlyMap<string, Key>;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly models: ReadonlyMap<string, Model>;
  readonly policies: ReadonlyMap<string, Policy>;
  /** By SHA-256 of the secret in hexadecimal. */
  readonly secrets: ReadonlyMap<string, { readonly key: Key; readonly secret: KeySecret }>;
}

export const rootTeam = "teams/root";

/** A deeper tree of teams is refused. */
export const TEAM_DEPTH_MAX = 32;

/**
 * A team and the teams above it, nearest first; the empty list when the way to the root is broken.
 */
export function listAncestors(world: World, team: string): readonly Team[] {
  const path: Team[] = [];
  let next = team;
  while (path.length <= TEAM_DEPTH_MAX) {
    const found = world.teams.get(next);
    if (found === undefined) return [];
    path.push(found);
    if (next === rootTeam) return path;
    next = parentOf(found);
  }
  return [];
}

/** Whether a team is another or below it. */
export function isWithin(world: World, team: string, ancestor: string): boolean {
  return listAncestors(world, team).some((each) => each.name === ancestor);
}

/** A team and all teams below it. */
export function listSubtree(world: World, team: string): string[] {
  const below = new Map<string, string[]>();
  for (const each of world.teams.values()) {
    if (each.name === rootTeam) continue;
    const siblings = below.get(parentOf(each));
    if (siblings === undefined) below.set(parentOf(each), [each.name]);
    else siblings.push(each.name);
  }
  const found = new Set(world.teams.has(team) ? [team] : []);
  // The set grows while it is walked, and holds each name once.
  for (const name of found) {
    for (const child of below.get(name) ?? []) found.add(child);
  }
  return [...found];
}

export function parentOf(team: Team): string {
  return team.parent === "" ? rootTeam : team.parent;
}

/** Keeps the world current. */
export interface WorldKeeper {
  readonly current: World;
  /** Catches up with the store; two at once read once. Rejects with StoreError. */
  refresh(): Promise<World>;
}

const CHANGES_MAX = 1000;

/** Reads everything once, and what changed from then on. */
export async function createWorldKeeper(store: PolicyStore): Promise<WorldKeeper> {
  let world = await readWorld(store);
  let reading: Promise<World> | undefined;

  const catchUp = async (): Promise<World> => {
    for (;;) {
      const changes = await store.changesSince(world.revision, CHANGES_MAX);
      const last = changes.at(-1);
      if (last === undefined) return world;
      if (changes.length === CHANGES_MAX) {
        // Perhaps cut in the middle of a revision: then everything is cheaper than to find out.
        world = await readWorld(store);
        continue;
      }
      for (const change of changes) put(world, change.name, change.after);
      world.revision = last.revision;
    }
  };
  return {
    get current() {
      return world;
    },
    refresh: async () => {
      // A read that is under way may have begun before the caller's own commit: it does not count.
      while (reading !== undefined) await reading.catch(() => undefined);
      reading = catchUp().finally(() => {
        reading = undefined;
      });
      return await reading;
    },
  };
}

interface GrowingWorld extends World {
  revision: number;
  readonly teams: Map<string, Team>;
  readonly users: Map<string, User>;
  readonly keys: Map<string, Key>;
  readonly providers: Map<string, Provider>;
  readonly models: Map<string, Model>;
  readonly policies: Map<string, Policy>;
  readonly secrets: Map<string, { readonly key: Key; readonly secret: KeySecret }>;
}

async function readWorld(store: PolicyStore): Promise<GrowingWorld> {
  const { revision, resources } = await store.readAll();
  const world: GrowingWorld = {
    revision,
    teams: new Map(),
    users: new Map(),
    keys: new Map(),
    providers: new Map(),
    models: new Map(),
    policies: new Map(),
    secrets: new Map(),
  };
  for (const { name, body } of resources) put(world, name, body);
  return world;
}

function put(world: GrowingWorld, name: string, body: Resource | undefined): void {
  const before = world.keys.get(name);
  for (const secret of before?.secrets ?? []) world.secrets.delete(hex(secret));
  const resource = body?.resource;
  switch (resource?.case) {
    case "team":
      world.teams.set(name, resource.value);
      return;
    case "user":
      world.users.set(name, resource.value);
      return;
    case "key": {
      const key = resource.value;
      world.keys.set(name, key);
      for (const secret of key.secrets) world.secrets.set(hex(secret), { key, secret });
      return;
    }
    case "provider":
      world.providers.set(name, resource.value);
      return;
    case "model":
      world.models.set(name, resource.value);
      return;
    case "policy":
      world.policies.set(name, resource.value);
      return;
    case undefined:
      for (const kind of ["teams", "users", "keys", "providers", "models", "policies"] as const) {
        world[kind].delete(name);
      }
      return;
    default:
      resource satisfies never;
  }
}

function hex(secret: KeySecret): string {
  return Buffer.from(secret.sha256).toString("hex");
}
