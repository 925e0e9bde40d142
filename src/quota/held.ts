import type { Account } from "./account.ts";
import type { Desk } from "./desk.ts";
import type { OpenEntry } from "./open-list.ts";
import type { Pot } from "./pot.ts";
import { settleLine } from "./settle-line.ts";

/** The requests and slots of one call: one of each bucket, kept until the call ends. */
export class Held implements OpenEntry {
  readonly accounts: Account[] = [];
  readonly amounts: number[] = [];
  openedMs = 0;
  before: OpenEntry | undefined;
  after: OpenEntry | undefined;
  /** True once an attempt was charged: then the call counts as a request. */
  charged = false;
  readonly #desk: Desk;
  readonly #pots: Pot[] = [];
  #ended = false;

  constructor(desk: Desk) {
    this.#desk = desk;
  }

  has(pot: Pot): boolean {
    return this.#pots.length > 0 && this.#pots.includes(pot);
  }

  /** Keeps the lines of a ticket from a position on. */
  keep(pots: readonly Pot[], accounts: readonly Account[], from: number, nowMs: number): void {
    if (this.accounts.length === 0) this.#desk.open.add(this, nowMs);
    for (let i = from; i < pots.length; i++) {
      const pot = pots[i];
      const account = accounts[i];
      if (pot === undefined || account === undefined) continue;
      this.#pots.push(pot);
      this.accounts.push(account);
      this.amounts.push(1);
    }
    // The call ended while its last attempt waited for the ledger.
    if (this.#ended) this.#settle();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.accounts.length > 0) this.#settle();
  }

  expire(): void {
    this.#desk.counters.leaked += 1;
    this.charged = true;
    this.end();
  }

  /**
   * Slots come back. A request counts when an attempt was charged; a rate has seen it in any case.
   */
  #settle(): void {
    const desk = this.#desk;
    const nowMs = desk.clock.now();
    desk.open.remove(this);
    for (const account of this.accounts) {
      const counts = account.rate !== undefined || this.charged;
      const spent = counts && account.pot.unit !== "slots" ? 1 : 0;
      settleLine(desk, { account, reserved: 1, spent, mark: 0 }, nowMs);
    }
    this.accounts.length = 0;
    this.amounts.length = 0;
    this.#pots.length = 0;
  }
}
