import { type Account, NO_WINDOW } from "./account.ts";
import type { Desk } from "./desk.ts";
import { RECALL_MS } from "./hear-grant.ts";
import { excessOf, holding, sizeLease } from "./lease-size.ts";
import type { Pot } from "./pot.ts";
import type { Pots } from "./pots.ts";

/**
 * What is done once a second for the buckets that are in use: windows that are over, leases that
 * are too large or idle, reservations that nobody ended, and the sums.
 */
export class Housekeeping {
  readonly #desk: Desk;
  readonly #pots: Pots;
  readonly #active = new Set<Pot>();

  constructor(desk: Desk, pots: Pots) {
    this.#desk = desk;
    this.#pots = pots;
  }

  /** Looks after a bucket until nothing is left of it. */
  watch(pot: Pot): void {
    if (pot.active) return;
    pot.active = true;
    this.#active.add(pot);
  }

  tick(nowMs: number): void {
    this.#expireLeaks(nowMs);
    for (const pot of this.#active) this.#tend(pot, nowMs);
  }

  /** How many sums do not come out. 0 when all is well. */
  countUnsound(): number {
    const sums = this.#desk.open.sums();
    let unsound = 0;
    for (const pot of this.#pots.all()) {
      for (const account of [pot.current, ...pot.draining]) {
        if (account.rate === undefined && !isSound(account, sums.get(account) ?? 0)) unsound += 1;
        sums.delete(account);
      }
    }
    return unsound + sums.size;
  }

  /** True when the ledger knows that nothing is left here. */
  isEmpty(): boolean {
    for (const pot of this.#pots.all()) {
      if (!pot.current.settled || pot.draining.some((account) => !account.settled)) return false;
    }
    return true;
  }

  /** Gives back all that is not reserved. */
  returnAll(nowMs: number): void {
    for (const pot of this.#pots.all()) {
      for (const account of [pot.current, ...pot.draining]) {
        account.giveBack(account.rate?.share ?? account.available, nowMs);
        account.recalledUntilMs = Number.POSITIVE_INFINITY;
        if (account.dirty) this.#desk.changed(pot);
      }
    }
  }

  /** Has every lease reported, whatever has changed of it. */
  reportAll(): void {
    for (const pot of this.#pots.all()) {
      for (const account of [pot.current, ...pot.draining]) {
        if (account.windowStartMs !== NO_WINDOW) account.dirty = true;
      }
      this.#desk.changed(pot);
    }
  }

  #tend(pot: Pot, nowMs: number): void {
    if (nowMs >= pot.current.endsAtMs) pot.roll(nowMs);
    const { demand, current } = pot;
    demand.tick(nowMs);
    const idle = this.#resize(pot, nowMs);
    if (pot.draining.length > 0) for (const gone of pot.sweep()) this.#desk.forgot(gone);
    // The ledger's clock may be behind this one: it is asked until it says that the window is over.
    for (const account of pot.draining) if (!account.over) account.dirty = true;
    const size = sizeLease(pot);
    pot.lowWater = size / LOW_PART;
    const mayWish = !idle && nowMs >= current.recalledUntilMs;
    const wishes = mayWish && holding(pot) < size * WISH_PART;
    if (current.dirty || wishes || pot.draining.length > 0) this.#desk.changed(pot);
    if (pot.queued || pot.reported || pot.waiters.size > 0 || pot.draining.length > 0) return;
    if (!current.settled || current.available !== 0 || nowMs - demand.usedAtMs < FORGET_MS) return;
    pot.active = false;
    this.#active.delete(pot);
    this.#pots.forget(pot);
    this.#desk.forgot(current);
  }

  /** Gives back what is too much; true for a bucket that nobody uses, whatever it holds. */
  #resize(pot: Pot, nowMs: number): boolean {
    const { current, demand, bound } = pot;
    if (pot.waiters.size > 0) return false;
    const idleMs = Math.min(2 * bound.limit.surviveMs, IDLE_MS_MAX);
    const idle = nowMs - demand.usedAtMs >= Math.max(idleMs, IDLE_MS_MIN);
    if (idle) demand.rest();
    if (current.granted === current.returned) return idle;
    if (idle) current.giveBack(Math.max(0, holding(pot)), nowMs);
    else if (demand.isKnown(nowMs)) current.giveBack(excessOf(pot), nowMs);
    return idle;
  }

  #expireLeaks(nowMs: number): void {
    for (let i = 0; i < LEAKS_PER_TICK; i++) {
      const oldest = this.#desk.open.oldest;
      if (oldest === undefined || nowMs - oldest.openedMs < LEAK_MS) return;
      oldest.expire();
    }
  }
}

function isSound(account: Account, open: number): boolean {
  return account.sound && account.outstanding === open;
}

const LOW_PART = 4;
/** A lease below this part of its size is filled up with the next report. */
const WISH_PART = 0.75;
const IDLE_MS_MIN = 10_000;
const IDLE_MS_MAX = 600_000;
const FORGET_MS = RECALL_MS;
const LEAK_MS = 3_600_000;
const LEAKS_PER_TICK = 10_000;
