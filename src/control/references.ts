import type { ResourceKind } from "../store/store.ts";
import { findServing } from "./check-model.ts";
import { parentOf, rootTeam, type World } from "./world.ts";

const NAMED_MAX = 20;

/**
 * Names of the resources that could not do without this one; at most 20. Selectors of policies do
 * not count.
 */
export function listReferrers(world: World, kind: ResourceKind, name: string): string[] {
  const found: string[] = [];
  for (const referrer of walkReferrers(world, kind, name)) {
    found.push(referrer);
    if (found.length === NAMED_MAX) break;
  }
  return found;
}

function* walkReferrers(world: World, kind: ResourceKind, name: string): Iterable<string> {
  switch (kind) {
    case "team":
      for (const team of world.teams.values()) {
        if (team.name !== rootTeam && parentOf(team) === name) yield team.name;
      }
      for (const key of world.keys.keys()) if (key.startsWith(`${name}/`)) yield key;
      for (const policy of world.policies.keys()) if (policy.startsWith(`${name}/`)) yield policy;
      return;
    case "user":
      for (const team of world.teams.values()) {
        if (team.members.some((member) => member.user === name)) yield team.name;
      }
      for (const key of world.keys.values()) if (key.user === name) yield key.name;
      return;
    case "provider":
      for (const model of world.models.values()) {
        if (model.targets.some((target) => target.provider === name)) yield model.name;
      }
      return;
    case "model":
      yield* walkModelReferrers(world, name);
      return;
    case "key":
    case "policy":
      return;
    default:
      kind satisfies never;
  }
}

/** Models that name this one, unless another serves the name as well. */
function* walkModelReferrers(world: World, name: string): Iterable<string> {
  const others = [...world.models.values()].filter((model) => model.name !== name);
  for (const model of others) {
    const names = [
      ...(model.aliasOf === "" ? [] : [model.aliasOf]),
      ...model.fallbacks,
      ...model.contextWindowFallbacks,
      ...model.contentPolicyFallbacks,
    ];
    if (names.some((each) => findServing(others, each) === undefined)) yield model.name;
  }
}
