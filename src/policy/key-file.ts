import type { PolicyEntry } from "../mesh/compile-policy.ts";
import type { Principal } from "../mesh/grant.ts";
import { GENERAL, type PolicyIndex } from "../mesh/policy-index.ts";
import type { NameFile } from "./name-file.ts";
import { type PolicyTally, ShelfView } from "./shelf-view.ts";

/** What is known of a key: the policies that concern it, and the names that it has asked for. */
export class KeyFile {
  readonly principal: Principal;
  readonly names = new Map<string, NameFile>();
  readonly tally: PolicyTally;
  /** Rises whenever `concerning` changes. */
  stamp = 0;
  /** The policies that concern the key whatever it asks, but for those that only name models. */
  concerning: readonly PolicyEntry[] = [];
  readonly #index: PolicyIndex;
  readonly #places: readonly string[];
  /** By position; undefined until there is such a shelf. */
  readonly #views: (ShelfView | undefined)[] = [];
  /** The same principal once more, as the last call had it. */
  #last: Principal;
  #turn = 0;

  constructor(principal: Principal, index: PolicyIndex, tally: PolicyTally) {
    this.principal = principal;
    this.tally = tally;
    this.#last = principal;
    this.#index = index;
    const { key, user, teams } = principal;
    const places = [GENERAL, key.name, ...teams.map((team) => team.name)];
    this.#places = user === "" ? places : [...places, user];
  }

  /** Whether it is still of use: the same teams above the same key, and the same index. */
  serves(principal: Principal, index: PolicyIndex): boolean {
    if (index !== this.#index) return false;
    if (principal === this.#last) return true;
    const { user, teams } = this.principal;
    if (principal.user !== user || principal.teams.length !== teams.length) return false;
    if (principal.teams.some((team, at) => team.name !== teams[at]?.name)) return false;
    this.#last = principal;
    return true;
  }

  /** Looks at what has changed since the last turn. */
  refresh(turn: number): void {
    if (this.#turn === turn) return;
    this.#turn = turn;
    let changed = false;
    for (let at = 0; at < this.#places.length; at++) {
      const shelf = this.#index.shelf(this.#places[at] ?? GENERAL);
      let view = this.#views[at];
      if (view === undefined && shelf !== undefined) {
        view = new ShelfView(this.principal, this.tally);
        this.#views[at] = view;
      }
      if (view?.refresh(shelf)) changed = true;
    }
    if (changed) this.#collect();
  }

  #collect(): void {
    this.stamp += 1;
    // One policy may stand on the shelves of several teams.
    const all = new Set<PolicyEntry>();
    for (const view of this.#views) {
      for (const entry of view?.entries ?? []) all.add(entry);
    }
    this.concerning = [...all];
  }
}
