import type { Account } from "./account.ts";

/** Something taken that must be ended one day. */
export interface OpenEntry {
  /** On Clock.now(). */
  openedMs: number;
  before: OpenEntry | undefined;
  after: OpenEntry | undefined;
  readonly accounts: readonly Account[];
  /** What is taken of each account. */
  readonly amounts: readonly number[];
  /** Nobody has ended it: what it took counts as spent. */
  expire(): void;
}

/** Everything that is taken now, the oldest first: a chain through the entries themselves. */
export class OpenList {
  #first: OpenEntry | undefined;
  #last: OpenEntry | undefined;

  get oldest(): OpenEntry | undefined {
    return this.#first;
  }

  add(entry: OpenEntry, nowMs: number): void {
    entry.openedMs = nowMs;
    entry.before = this.#last;
    entry.after = undefined;
    if (this.#last === undefined) this.#first = entry;
    else this.#last.after = entry;
    this.#last = entry;
  }

  remove(entry: OpenEntry): void {
    const { before, after } = entry;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    entry.before = undefined;
    entry.after = undefined;
  }

  /** What the entries have taken of each account that counts it. */
  sums(): Map<Account, number> {
    const sums = new Map<Account, number>();
    for (let entry = this.#first; entry !== undefined; entry = entry.after) {
      entry.accounts.forEach((account, i) => {
        if (account.rate !== undefined) return;
        sums.set(account, (sums.get(account) ?? 0) + (entry?.amounts[i] ?? 0));
      });
    }
    return sums;
  }
}
