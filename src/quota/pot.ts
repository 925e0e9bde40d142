import type { BoundLimit, LimitUnit } from "../mesh/limit.ts";
import { Account } from "./account.ts";
import { Demand } from "./demand.ts";
import type { Waiter } from "./refill.ts";

/**
 * What this proxy knows of one bucket: the lease that it reserves from, those of windows that are
 * over and still settle, who waits, and what the ledger last said.
 */
export class Pot {
  bound: BoundLimit;
  readonly unit: LimitUnit;
  /** Requests and slots: taken once a call, not by each attempt. */
  readonly perCall: boolean;
  current: Account;
  draining: readonly Account[] = NONE;
  readonly waiters = new Set<Waiter>();
  readonly demand = new Demand();
  /** True while it stands in the queue for the next report. */
  queued = false;
  /** True while a report that names it is not answered: what it is granted must find it here. */
  reported = false;
  /** True while housekeeping looks after it. */
  active = false;
  /** True once it is forgotten: who still holds it looks for its successor. */
  forgotten = false;
  /** True when somebody has asked what is left of it, and the ledger has not been heard. */
  curious = false;
  /** When `available` falls below this, more is asked for at once. */
  lowWater = Number.NEGATIVE_INFINITY;
  /** The ledger's last word; undefined before the first. */
  word: LedgerWord | undefined;
  /** No wait is worth it for so much or more, until then. */
  refusedNeed = Number.POSITIVE_INFINITY;
  refusedUntilMs = Number.NEGATIVE_INFINITY;
  /** True when the last need could not be granted because others hold it. */
  recalling = false;
  /** True when the last answer to a need brought nothing: to ask again at once is no use. */
  patient = false;
  /** Until then the ledger grants nothing of it, and why. */
  closed: "gone" | "suspended" | "full" | undefined;
  closedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(bound: BoundLimit, nowMs: number) {
    this.bound = bound;
    this.unit = bound.limit.unit;
    this.perCall = this.unit === "requests" || this.unit === "slots";
    this.current = new Account(this, nowMs);
  }

  /** The policy was edited, and the bucket stays. */
  rebind(bound: BoundLimit, nowMs: number): void {
    if (bound.limit !== this.bound.limit) this.current.rate?.change(bound.limit, nowMs);
    this.bound = bound;
  }

  /** The window is over: its rest goes back, and a new lease is to be asked for. */
  roll(nowMs: number): void {
    const old = this.current;
    old.giveBack(old.available, nowMs);
    old.dirty = true;
    this.draining = [...this.draining, old];
    this.current = new Account(this, nowMs);
    this.refusedUntilMs = Number.NEGATIVE_INFINITY;
    this.word = undefined;
  }

  /** A window goes on after all. */
  revive(account: Account): void {
    this.draining = this.draining.filter((each) => each !== account);
    this.current = account;
  }

  /** Forgets leases of windows that are over and have nothing left; returns them. */
  sweep(): readonly Account[] {
    const gone = this.draining.filter((account) => account.over && account.settled);
    if (gone.length === 0) return gone;
    this.draining = this.draining.filter((each) => !gone.includes(each));
    // A rate's lease that was gone may come back, and the ledger counts its level on.
    for (const { levelGranted } of gone) {
      this.current.levelGranted = Math.max(this.current.levelGranted, levelGranted);
    }
    return gone;
  }

  /** The account of a window; undefined when there is none. */
  find(windowStartMs: number): Account | undefined {
    if (this.current.windowStartMs === windowStartMs) return this.current;
    return this.draining.find((account) => account.windowStartMs === windowStartMs);
  }
}

/** What the ledger said of a bucket. */
export interface LedgerWord {
  readonly ceiling: number;
  /** What nobody holds. */
  readonly remaining: number;
  /** What is spent or lost, whoever did it. */
  readonly spent: number;
  /** On Clock.now(): when something may be there again; undefined when nobody knows. */
  readonly retryAtMs: number | undefined;
  /** On Clock.now(): when the window ends; undefined for never. */
  readonly windowEndsAtMs: number | undefined;
}

const NONE: readonly Account[] = [];
