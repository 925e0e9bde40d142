import type { PolicyEntry } from "../mesh/compile-policy.ts";
import type { Principal } from "../mesh/grant.ts";
import type { PolicyShelf } from "../mesh/policy-index.ts";
import { concernsPrincipal } from "./concerns.ts";

/** Counts the policies that were looked at, for those who want to know what a change costs. */
export interface PolicyTally {
  looked: number;
}

/** There are as many views as keys ask: those that hold nothing share it. */
const NOTHING: readonly PolicyEntry[] = [];

/** What of a shelf concerns a principal, kept up to date by looking at what has changed. */
export class ShelfView {
  readonly #principal: Principal;
  readonly #tally: PolicyTally;
  #version = 0;
  entries = NOTHING;

  constructor(principal: Principal, tally: PolicyTally) {
    this.#principal = principal;
    this.#tally = tally;
  }

  /** True when what concerns the principal has changed. */
  refresh(shelf: PolicyShelf | undefined): boolean {
    if (shelf === undefined) {
      this.#version = 0;
      return this.#keep(NOTHING);
    }
    if (shelf.version === this.#version) return false;
    const names = shelf.changesSince(this.#version);
    this.#version = shelf.version;
    if (names === undefined) {
      const all = [...shelf.entries.values()];
      return this.#keep(all.filter((entry) => this.#concerns(entry)));
    }
    let changed = false;
    for (const name of names) {
      if (this.#replace(name, shelf.entries.get(name))) changed = true;
    }
    return changed;
  }

  #replace(name: string, entry: PolicyEntry | undefined): boolean {
    const others = this.entries.filter(({ policy }) => policy.name !== name);
    return this.#keep(this.#concerns(entry) ? [...others, entry] : others);
  }

  /** False when it is what was there before. */
  #keep(entries: readonly PolicyEntry[]): boolean {
    const before = this.entries;
    if (before.length === entries.length && before.every((each, at) => each === entries[at])) {
      return false;
    }
    this.entries = entries.length === 0 ? NOTHING : entries;
    return true;
  }

  #concerns(entry: PolicyEntry | undefined): entry is PolicyEntry {
    this.#tally.looked += 1;
    return entry !== undefined && concernsPrincipal(entry, this.#principal);
  }
}
