import { MeshError } from "../mesh/errors.ts";
import type { Watermark, Watermarks } from "../mesh/quota.ts";
import { type Account, NO_WINDOW } from "./account.ts";
import type { Desk } from "./desk.ts";
import type { Ticket } from "./ticket.ts";

/**
 * Takes all lines of a ticket or none. Between the test and the debit nothing is awaited, and the
 * disk knows how far the leases may be spent before they are.
 */
export class Admission {
  readonly #desk: Desk;
  readonly #watermarks: Watermarks;
  /** Marks of leases that are forgotten, to be taken out with the next write. */
  #stale: Watermark[] = [];

  constructor(desk: Desk, watermarks: Watermarks) {
    this.#desk = desk;
    this.#watermarks = watermarks;
  }

  /**
   * Takes a ticket. Returns the first line that does not fit, and then nothing is taken; -1 when it
   * is taken. Throws QUOTA_UNAVAILABLE when the disk fails.
   */
  take(ticket: Ticket, nowMs: number): number {
    const { pots, amounts, accounts } = ticket;
    const forced = ticket.unprovenBy.length > 0;
    let sinks = false;
    for (let i = 0; i < pots.length; i++) {
      const pot = pots[i];
      const amount = amounts[i];
      if (pot === undefined || amount === undefined) continue;
      if (nowMs >= pot.current.endsAtMs) this.#roll(ticket, i, nowMs);
      const account = pot.current;
      if (!account.fits(amount, nowMs)) {
        if (!forced || !ticket.unprovenBy.includes(pot.bound.limit.policy)) return i;
      }
      accounts[i] = account;
      if (account.confirmed + account.outstanding + amount > account.watermark) {
        sinks ||= isMarked(account);
      }
    }
    if (sinks) this.#raise(ticket);
    this.#debit(ticket, nowMs);
    return -1;
  }

  /** A settlement went beyond what was taken; a disk that fails cannot undo that. */
  overran(account: Account): void {
    if (!isMarked(account) || account.used <= account.watermark) return;
    try {
      this.#write([account], [account.used]);
    } catch {
      // The next reservation says it.
    }
  }

  /** The lease is forgotten: its mark is of no use. */
  forgot(account: Account): void {
    if (account.watermark === 0) return;
    const { windowStartMs, pot } = account;
    this.#stale.push({ bucket: pot.bound.bucket, windowStartMs, usedMax: 0 });
  }

  /**
   * Lowers the marks of leases that are used less than they were, or that were given back: what a
   * crash costs is the mark, and what is given back would be lost twice. A disk that fails leaves
   * them higher than they need be.
   */
  lower(accounts: readonly Account[]): void {
    const lowered: Account[] = [];
    const marks: number[] = [];
    for (const account of accounts) {
      if (account.watermark === 0 || !isMarked(account)) continue;
      const mark = lowestMark(account);
      if (mark >= account.watermark) continue;
      lowered.push(account);
      marks.push(mark);
    }
    if (lowered.length === 0 && this.#stale.length < STALE_MAX) return;
    try {
      this.#write(lowered, marks);
    } catch {
      // The next reservation says it.
    }
  }

  #roll(ticket: Ticket, at: number, nowMs: number): void {
    const pot = ticket.pots[at];
    if (pot === undefined) return;
    pot.roll(nowMs);
    this.#desk.changed(pot);
  }

  #debit(ticket: Ticket, nowMs: number): void {
    const { pots, amounts, accounts, marks } = ticket;
    for (let i = 0; i < pots.length; i++) {
      const account = accounts[i];
      const amount = amounts[i];
      if (account === undefined || amount === undefined) continue;
      marks[i] = account.reserve(amount, nowMs);
      account.dirty = true;
      const { pot } = account;
      const { demand } = pot;
      demand.bitten(amount);
      demand.usedAtMs = nowMs;
      if (!pot.queued) this.#desk.changed(pot);
      if (account.available < pot.lowWater) this.#desk.low(pot);
    }
    ticket.taken(nowMs);
  }

  /**
   * One write for all: those that are near their mark go along, so that the marks of limits that
   * are used together rise together.
   */
  #raise(ticket: Ticket): void {
    const accounts: Account[] = [];
    const marks: number[] = [];
    ticket.accounts.forEach((account, i) => {
      const amount = ticket.amounts[i] ?? 0;
      if (!isMarked(account)) return;
      const used = account.used + amount;
      const step = Math.max(STEP_BITES * amount, Math.ceil(account.granted / STEP_PARTS));
      if (used + step / 2 <= account.watermark) return;
      const most = Math.max(used, account.granted - account.returned);
      const mark = Math.min(used + step, most);
      if (mark <= account.watermark) return;
      accounts.push(account);
      marks.push(mark);
    });
    this.#write(accounts, marks);
  }

  #write(accounts: readonly Account[], marks: readonly number[]): void {
    const raised = accounts.map<Watermark>((account, i) => ({
      bucket: account.pot.bound.bucket,
      windowStartMs: account.windowStartMs,
      usedMax: marks[i] ?? account.used,
    }));
    const stale = this.#stale;
    try {
      this.#watermarks.raise(stale.length === 0 ? raised : stale.concat(raised));
    } catch (thrown) {
      throw diskFails(thrown);
    }
    if (stale.length > 0) this.#stale = [];
    this.#desk.counters.watermarks += 1;
    accounts.forEach((account, i) => {
      account.watermark = marks[i] ?? account.watermark;
    });
  }
}

/**
 * What the disk must know of: what a crash could hide is spent. Slots and rates come back whole.
 */
function isMarked(account: Account): boolean {
  return account.pot.bound.limit.kind === "budget" && account.windowStartMs !== NO_WINDOW;
}

/** Where its mark may stand: at what is used, and while it is in use a step beyond. */
function lowestMark(account: Account): number {
  const { used, watermark } = account;
  if (account.outstanding === 0) return used;
  const step = Math.max(STEP_BITES * account.pot.demand.bite, account.granted / STEP_PARTS);
  const held = Math.max(used, account.granted - account.returned);
  const mark = Math.min(held, Math.ceil(used + step));
  // A write is worth a step, or what is no longer held.
  return watermark > held || watermark - mark > step ? mark : watermark;
}

function diskFails(thrown: unknown): MeshError {
  return new MeshError(
    "QUOTA_UNAVAILABLE",
    "This proxy's disk is full or failing, so that it cannot note what it spends. Whoever runs Weir " +
      "must make room on it.",
    {
      retryAfterMs: 5_000,
      cause: thrown,
      internal: thrown instanceof Error ? thrown.message : String(thrown),
    },
  );
}

/** So many marks of no use are worth a write of their own. */
const STALE_MAX = 100;
const STEP_BITES = 8;
const STEP_PARTS = 64;
