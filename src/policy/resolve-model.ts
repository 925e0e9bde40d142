import type { Model } from "../../gen/weir/admin/v1/model_pb.ts";
import type { Snapshot } from "../mesh/snapshot.ts";
import type { Target } from "../mesh/target.ts";

/** An alias may lead to an alias, so many times. */
const ALIAS_DEPTH_MAX = 8;

/** A model behind a name. */
export interface ResolvedModel {
  /** The name that its targets are made for: aliases followed, the wildcard filled in. */
  readonly name: string;
  readonly resource: Model;
  readonly targets: readonly Target[];
}

/**
 * The model that a name stands for: the exact one, else the wildcard with the longest prefix.
 * Disabled ones are not there.
 */
export function resolveModel(snapshot: Snapshot, asked: string): ResolvedModel | undefined {
  let name = asked;
  for (let depth = 0; depth <= ALIAS_DEPTH_MAX; depth++) {
    const entry =
      snapshot.models.get(name) ??
      snapshot.wildcards.find((wildcard) => name.startsWith(wildcard.name.slice(0, -1)));
    if (entry === undefined || entry.resource.disabled) return undefined;
    if (entry.resource.aliasOf === "") {
      return { name, resource: entry.resource, targets: entry.targetsFor(name) };
    }
    name = entry.resource.aliasOf;
  }
  return undefined;
}
