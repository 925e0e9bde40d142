import type { PolicyEntry } from "../mesh/compile-policy.ts";
import type { Principal } from "../mesh/grant.ts";
import type { PolicyShelf } from "../mesh/policy-index.ts";
import { concernsPrincipal } from "./concerns.ts";

/** Counts the policies that were looked at, for those who want to know what a change costs. */
export interface PolicyTally {
  looked: number;
}

/** What of a shelf concerns a principal, kept up to date by looking at what has changed. */
export class ShelfView {
  readonly #principal: Principal;
  readonly #tally: PolicyTally;
  readonly #entries = new Map<string, PolicyEntry>();
  #version = 0;

  constructor(principal: Principal, tally: PolicyTally) {
    this.#principal = principal;
    this.#tally = tally;
  }

  get entries(): Iterable<PolicyEntry> {
    return this.#entries.values();
  }

  /** True when what concerns the principal has changed. */
  refresh(shelf: PolicyShelf | undefined): boolean {
    if (shelf === undefined) {
      const had = this.#entries.size > 0;
      this.#entries.clear();
      this.#version = 0;
      return had;
    }
    if (shelf.version === this.#version) return false;
    const names = shelf.changesSince(this.#version);
    this.#version = shelf.version;
    if (names === undefined) return this.#lookThrough(shelf);
    let changed = false;
    for (const name of names) {
      if (this.#put(name, shelf.entries.get(name))) changed = true;
    }
    return changed;
  }

  #lookThrough(shelf: PolicyShelf): boolean {
    let changed = false;
    for (const name of [...this.#entries.keys()]) {
      if (!shelf.entries.has(name) && this.#entries.delete(name)) changed = true;
    }
    for (const [name, entry] of shelf.entries) {
      if (this.#put(name, entry)) changed = true;
    }
    return changed;
  }

  #put(name: string, entry: PolicyEntry | undefined): boolean {
    this.#tally.looked += 1;
    const before = this.#entries.get(name);
    if (entry !== undefined && concernsPrincipal(entry, this.#principal)) {
      this.#entries.set(name, entry);
      return before !== entry;
    }
    return this.#entries.delete(name);
  }
}
