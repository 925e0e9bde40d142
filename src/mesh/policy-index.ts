import type { Policy, Selector } from "../../gen/weir/admin/v1/policy_pb.ts";
import type { PolicyEntry } from "./compile-policy.ts";

/**
 * Finds the policies that may concern somebody without a look at all others. Each enabled policy
 * stands on the shelves that its narrowest selector names: of keys, else users, teams, the team
 * that it is bound to, models; and on the general shelf when none of these names anything. Who
 * looks has to judge what he finds: the index only leaves out what cannot concern him.
 */
export interface PolicyIndex {
  /**
   * The shelf of `teams/…`, `teams/…/keys/…`, `users/…` or `models/…`, or of GENERAL; undefined
   * when it is empty.
   */
  shelf(name: string): PolicyShelf | undefined;
  /** The names of the shelves of models, `models/…`. */
  modelPlaces(): Iterable<string>;
}

/** Policies by name, and how they have changed. */
export interface PolicyShelf {
  /** Rises with each change, and never comes back, not even when the shelf goes and comes back. */
  readonly version: number;
  readonly entries: ReadonlyMap<string, PolicyEntry>;
  /**
   * The names of what was put or taken since a version; undefined when that is too long ago to
   * tell.
   */
  changesSince(version: number): readonly string[] | undefined;
}

/** The name of the shelf of policies that name nobody. */
export const GENERAL = "";

/** Changes that a shelf remembers: who comes later looks through all of it. */
const CHANGES_MAX = 64;

/** An index that is kept up to date, one policy at a time. */
export class PolicyShelves implements PolicyIndex {
  readonly #shelves = new Map<string, Shelf>();
  readonly #modelPlaces = new Set<string>();
  /** By the policy's name. */
  readonly #places = new Map<string, ReadonlySet<string>>();
  #version = 0;

  shelf(name: string): PolicyShelf | undefined {
    return this.#shelves.get(name);
  }

  modelPlaces(): Iterable<string> {
    return this.#modelPlaces;
  }

  put(entry: PolicyEntry): void {
    const { name } = entry.policy;
    this.remove(name);
    if (entry.policy.disabled) return;
    const places = new Set(listPlaces(entry));
    this.#places.set(name, places);
    this.#version += 1;
    for (const place of places) {
      let shelf = this.#shelves.get(place);
      if (shelf === undefined) {
        // Who saw no shelf here looks through the new one.
        shelf = new Shelf(this.#version);
        this.#shelves.set(place, shelf);
        if (place.startsWith("models/")) this.#modelPlaces.add(place);
      }
      shelf.put(entry, this.#version);
    }
  }

  remove(name: string): void {
    const places = this.#places.get(name);
    if (places === undefined) return;
    this.#places.delete(name);
    this.#version += 1;
    for (const place of places) {
      const shelf = this.#shelves.get(place);
      shelf?.remove(name, this.#version);
      if (shelf?.entries.size !== 0) continue;
      this.#shelves.delete(place);
      this.#modelPlaces.delete(place);
    }
  }
}

class Shelf implements PolicyShelf {
  readonly entries = new Map<string, PolicyEntry>();
  readonly #changes: { readonly version: number; readonly name: string }[] = [];
  /** What happened up to this version is not remembered. */
  #forgotten: number;
  version: number;

  constructor(version: number) {
    this.version = version;
    this.#forgotten = version;
  }

  put(entry: PolicyEntry, version: number): void {
    this.entries.set(entry.policy.name, entry);
    this.#note(entry.policy.name, version);
  }

  remove(name: string, version: number): void {
    this.entries.delete(name);
    this.#note(name, version);
  }

  changesSince(version: number): readonly string[] | undefined {
    if (version < this.#forgotten) return undefined;
    const names = new Set<string>();
    for (let at = this.#changes.length - 1; at >= 0; at--) {
      const change = this.#changes[at];
      if (change === undefined || change.version <= version) break;
      names.add(change.name);
    }
    return [...names];
  }

  #note(name: string, version: number): void {
    this.version = version;
    this.#changes.push({ version, name });
    if (this.#changes.length <= CHANGES_MAX) return;
    this.#forgotten = this.#changes.shift()?.version ?? version;
  }
}

/** The shelves of a policy: all that it can concern passes one of them. */
function listPlaces({ policy, team }: PolicyEntry): readonly string[] {
  const { match } = policy;
  return (
    listKeyPlaces(match?.keys) ??
    listNames(match?.users) ??
    listNames(match?.teams) ??
    (team === "" ? undefined : [team]) ??
    listModelPlaces(match) ?? [GENERAL]
  );
}

/** Patterns such as `teams/a/keys/*` name no key, but a team: they stand on its shelf. */
function listKeyPlaces(selector: Selector | undefined): string[] | undefined {
  return listNames(selector, (pattern) => {
    const at = pattern.indexOf("/keys/");
    return at < 0 ? undefined : pattern.slice(0, at);
  });
}

function listModelPlaces(match: Policy["match"]): string[] | undefined {
  return listNames(match?.models)?.map((name) => `models/${name}`);
}

/** What a selector includes by name; undefined when it names nothing, or not only by name. */
function listNames(
  selector: Selector | undefined,
  placeOf: (pattern: string) => string | undefined = () => undefined,
): string[] | undefined {
  if (selector === undefined || selector.include.length === 0) return undefined;
  const places: string[] = [];
  for (const each of selector.include) {
    const place = each.endsWith("*") ? placeOf(each) : each;
    if (place === undefined) return undefined;
    places.push(place);
  }
  return places;
}
