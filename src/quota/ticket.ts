import type { Cost, Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { Call } from "../mesh/call.ts";
import type { Reservation } from "../mesh/quota.ts";
import type { Target } from "../mesh/target.ts";
import type { Account } from "./account.ts";
import { actualAmount } from "./amount.ts";
import type { AskBound } from "./bound.ts";
import type { Desk } from "./desk.ts";
import { estimatedAmount } from "./estimate.ts";
import type { Held } from "./held.ts";
import type { OpenEntry } from "./open-list.ts";
import type { Pot } from "./pot.ts";
import { settleLine } from "./settle-line.ts";

/** What a ticket is for. */
export interface TicketFor {
  readonly call: Call;
  readonly target: Target;
  readonly bound: AskBound;
  /** Where requests and slots go, which the call keeps. */
  readonly held: Held;
  /** True for a further piece of what another ticket began with. */
  readonly further?: boolean;
}

/**
 * What one attempt takes: a line for each bucket, by position. While it is asked for, the lines
 * from `callFrom` on are those that the call will keep.
 */
export class Ticket implements Reservation, OpenEntry {
  readonly purpose: TicketFor;
  readonly pots: Pot[] = [];
  readonly amounts: number[] = [];
  readonly accounts: Account[] = [];
  readonly marks: number[] = [];
  callFrom = 0;
  /** True when budgets are asked for a slice of the answer only. */
  sliced = false;
  outputTokensMax: number | undefined;
  clampedBy = "";
  unprovenBy: readonly string[] = NOBODY;
  openedMs = 0;
  before: OpenEntry | undefined;
  after: OpenEntry | undefined;
  readonly #desk: Desk;
  #ended = false;

  constructor(desk: Desk, purpose: TicketFor) {
    this.#desk = desk;
    this.purpose = purpose;
  }

  /** Takes a line out: its limit is not counted for this attempt. */
  drop(at: number): void {
    this.pots.splice(at, 1);
    this.amounts.splice(at, 1);
    this.accounts.length = 0;
    if (at < this.callFrom) this.callFrom -= 1;
  }

  /** It is taken: the call keeps its part. */
  taken(nowMs: number): void {
    const { callFrom, pots, accounts, amounts, marks } = this;
    if (callFrom < pots.length) {
      this.purpose.held.keep(pots, accounts, callFrom, nowMs);
      pots.length = callFrom;
      accounts.length = callFrom;
      amounts.length = callFrom;
      marks.length = callFrom;
    }
    this.#desk.open.add(this, nowMs);
    this.#desk.counters.reserved += 1;
  }

  settle(usage: Usage | undefined, cost: Cost | undefined): void {
    this.#end(usage, cost, true);
  }

  release(): void {
    this.#end(undefined, undefined, false);
  }

  expire(): void {
    if (!this.#ended) this.#desk.counters.leaked += 1;
    this.#end(undefined, undefined, true);
  }

  /** What it takes of a bucket. */
  amountOf(pot: Pot): number {
    return this.amounts[this.pots.indexOf(pot)] ?? 0;
  }

  /** Ends it with what is spent of each bucket. */
  settleParts(spent: ReadonlyMap<Pot, number>): void {
    this.#finish(true, ({ pot }) => spent.get(pot) ?? 0);
  }

  /** Without usage, everything is charged or nothing. */
  #end(usage: Usage | undefined, cost: Cost | undefined, charged: boolean): void {
    this.#finish(charged, ({ pot }, reserved) =>
      charged ? this.spend(pot, reserved, usage, cost) : 0,
    );
  }

  #finish(charged: boolean, spentOf: (account: Account, reserved: number) => number): void {
    if (this.#ended) return;
    this.#ended = true;
    const desk = this.#desk;
    const nowMs = desk.clock.now();
    desk.open.remove(this);
    if (charged) desk.counters.settled += 1;
    else desk.counters.released += 1;
    if (charged) this.purpose.held.charged = true;
    const { accounts, amounts, marks } = this;
    for (let i = 0; i < accounts.length; i++) {
      const account = accounts[i];
      const reserved = amounts[i];
      if (account === undefined || reserved === undefined) continue;
      const spent = spentOf(account, reserved);
      settleLine(desk, { account, reserved, spent, mark: marks[i] ?? 0 }, nowMs);
    }
  }

  /** What is used of a bucket where so much is reserved; all where nobody has counted. */
  measure(pot: Pot, reserved: number, usage: Usage | undefined, cost: Cost | undefined): number {
    if (usage === undefined) return reserved;
    const { limit } = pot.bound;
    const { target, bound } = this.purpose;
    if (usage.estimated) {
      return Math.min(estimatedAmount(limit, target, bound, usage) ?? reserved, reserved);
    }
    return actualAmount(limit, target, usage, cost) ?? reserved;
  }

  /** The same, to be charged: beyond what is reserved is a fault. */
  spend(pot: Pot, reserved: number, usage: Usage | undefined, cost: Cost | undefined): number {
    const actual = this.measure(pot, reserved, usage, cost);
    if (actual <= reserved) return actual;
    const { limit } = pot.bound;
    const { counters } = this.#desk;
    counters.overrun += 1;
    if (limit.unit === "nano_usd") counters.overrunNanoUsd += actual - reserved;
    else counters.overrunTokens += actual - reserved;
    return actual;
  }
}

const NOBODY: readonly string[] = [];
