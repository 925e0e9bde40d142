import type { Timer } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Reservation } from "../mesh/quota.ts";
import type { Desk } from "./desk.ts";
import { type Gate, lackOf } from "./gate.ts";
import type { Pot } from "./pot.ts";
import type { Verdict } from "./quota-errors.ts";
import { createRefusal } from "./quota-errors.ts";
import type { Ticket } from "./ticket.ts";

/** An attempt that waits for the ledger. */
export interface Waiter {
  readonly ticket: Ticket;
  readonly sinceMs: number;
  /** The buckets that do not have enough. */
  lacking: readonly Pot[];
  readonly resolve: (reservation: Reservation) => void;
  readonly reject: (thrown: unknown) => void;
  timer: Timer | undefined;
}

/** How long an attempt may wait. */
export interface RefillTimes {
  /** For an answer of the ledger. */
  readonly refillWaitMs: number;
  /** In all, while others are asked to give back. */
  readonly recallWaitMs: number;
}

/**
 * Attempts that lack something and wait for one refill, in the order in which they came. Each is
 * tried again when the ledger has answered or something came back.
 */
export class Refill {
  readonly #desk: Desk;
  readonly #gate: Gate;
  readonly #times: RefillTimes;
  /** Asks the ledger at once. */
  readonly #ask: (pot: Pot) => void;
  readonly #waiting = new Set<Waiter>();

  constructor(desk: Desk, gate: Gate, times: RefillTimes, ask: (pot: Pot) => void) {
    this.#desk = desk;
    this.#gate = gate;
    this.#times = times;
    this.#ask = ask;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Waits until the ticket is taken; rejects with the refusal. */
  wait(ticket: Ticket): Promise<Reservation> {
    if (this.#waiting.size >= WAITERS_MAX) throw this.#crowded(ticket);
    this.#desk.counters.waited += 1;
    return new Promise((resolve, reject) => {
      const waiting: Waiter = {
        ticket,
        sinceMs: this.#desk.clock.now(),
        lacking: [],
        resolve,
        reject,
        timer: undefined,
      };
      this.#waiting.add(waiting);
      this.#queue(waiting);
      this.#watch(waiting, this.#times.refillWaitMs);
    });
  }

  /**
   * Tries those that wait for one bucket, until one of them goes on waiting for it: what comes is
   * for the first, lest a large need starves behind small ones.
   */
  wake(pot: Pot): void {
    for (const waiter of pot.waiters) {
      this.#try(waiter);
      if (pot.waiters.has(waiter)) return;
    }
  }

  /** Tries all: the ledger has been lost, or has said that it cannot answer. */
  wakeAll(): void {
    for (const waiting of [...this.#waiting]) this.#try(waiting);
  }

  #watch(waiting: Waiter, waitMs: number): void {
    waiting.timer = this.#desk.clock.after(waitMs, () => this.#expire(waiting));
  }

  /** Its time is over, unless others are still being asked. */
  #expire(waiting: Waiter): void {
    const waitedMs = this.#desk.clock.now() - waiting.sinceMs;
    const recalling = waiting.lacking.some((pot) => pot.recalling);
    if (recalling && waitedMs < this.#times.recallWaitMs) {
      this.#watch(waiting, Math.min(RECALL_STEP_MS, this.#times.recallWaitMs - waitedMs));
      return;
    }
    this.#try(waiting, (pot) => (pot.recalling ? "held" : "unavailable"));
  }

  #try(waiting: Waiter, late?: (pot: Pot) => Verdict): void {
    const { ticket } = waiting;
    // Nobody waits for it any more: what it would take is not taken.
    const gone = ticket.purpose.call.cancellation.cause;
    try {
      if (gone !== undefined) throw gone;
      if (!this.#gate.admit(ticket, late)) {
        this.#queue(waiting);
        return;
      }
      this.#end(waiting);
      waiting.resolve(ticket);
    } catch (thrown) {
      this.#end(waiting);
      waiting.reject(thrown);
    }
  }

  /** Stands in line at every bucket that lacks something, and keeps its place where it stood. */
  #queue(waiting: Waiter): void {
    const { pots, amounts } = waiting.ticket;
    const nowMs = this.#desk.clock.now();
    const lacking = pots.filter((pot, i) => !pot.current.fits(amounts[i] ?? 0, nowMs));
    for (const pot of waiting.lacking) if (!lacking.includes(pot)) pot.waiters.delete(waiting);
    // None of them is forgotten meanwhile.
    for (const pot of pots) pot.demand.usedAtMs = nowMs;
    for (const pot of lacking) {
      if (!pot.waiters.has(waiting)) {
        pot.waiters.add(waiting);
        pot.demand.bitten(amounts[pots.indexOf(pot)] ?? 0);
      }
      this.#ask(pot);
    }
    waiting.lacking = lacking;
  }

  #end(waiting: Waiter): void {
    for (const pot of waiting.lacking) pot.waiters.delete(waiting);
    this.#waiting.delete(waiting);
    waiting.timer?.cancel();
  }

  #crowded(ticket: Ticket): MeshError {
    const { clock, counters } = this.#desk;
    const pot = ticket.pots.find(
      (each, i) => !each.current.fits(ticket.amounts[i] ?? 0, clock.now()),
    );
    counters.denied.QUOTA_UNAVAILABLE = (counters.denied.QUOTA_UNAVAILABLE ?? 0) + 1;
    if (pot === undefined)
      return new MeshError("QUOTA_UNAVAILABLE", "Too many requests wait. Try again in a moment.");
    return createRefusal({ pot, needed: 0, verdict: "crowded", clock });
  }
}

/**
 * What those who wait for a bucket need, as a report says it: the first of them, and further ones
 * as far as the ledger may have it. `alone` tells that it is the first one's need only, so that a
 * refusal of it is final.
 */
export function needOf(
  pot: Pot,
  nowMs: number,
): { readonly need: number; readonly alone: boolean } {
  const remaining = pot.current.rate === undefined ? (pot.word?.remaining ?? 0) : 0;
  let sum = 0;
  let need = 0;
  let alone = true;
  for (const { ticket } of pot.waiters) {
    sum += ticket.amounts[ticket.pots.indexOf(pot)] ?? 0;
    const lack = lackOf(pot, sum, nowMs);
    if (lack <= 0) continue;
    if (need > 0 && lack > remaining) break;
    alone = need === 0;
    need = lack;
  }
  return { need, alone };
}

const WAITERS_MAX = 10_000;
const RECALL_STEP_MS = 50;
