import type { Admission } from "./admission.ts";
import { fitAnswer } from "./clamp.ts";
import type { Desk } from "./desk.ts";
import type { Pot } from "./pot.ts";
import { createRefusal, isUnproven, type Verdict } from "./quota-errors.ts";
import { WHOLE_SHARE } from "./rate-level.ts";
import type { Ticket } from "./ticket.ts";

/** What the gate must know of the link. */
export interface LedgerLine {
  /** True when the ledger can be asked, as far as is known. */
  reachable(nowMs: number): boolean;
  /** Why what the leases hold is not this proxy's any more; undefined when all is well. */
  readonly superseded?: string | undefined;
}

/** Decides whether a ticket is taken, waits for the ledger, or is refused. */
export class Gate {
  readonly #desk: Desk;
  readonly #admission: Admission;
  readonly #line: LedgerLine;

  constructor(desk: Desk, admission: Admission, line: LedgerLine) {
    this.#desk = desk;
    this.#admission = admission;
    this.#line = line;
  }

  /**
   * True when the ticket is taken; false when it is worth asking the ledger. With `late`, nothing
   * is worth waiting for any more: that is the verdict where nothing better is known. Throws the
   * refusal. A limit that only audits steps aside; one that may be unproven lets pass; one that
   * clamps shortens the answer.
   */
  admit(ticket: Ticket, late?: (pot: Pot) => Verdict): boolean {
    for (;;) {
      const nowMs = this.#desk.clock.now();
      const closed = this.#line.superseded === undefined ? -1 : findUnforced(ticket);
      const at = closed < 0 ? this.#admission.take(ticket, nowMs) : closed;
      if (at < 0) return true;
      const stuck = this.#findStuck(ticket, at, nowMs, late);
      if (stuck === undefined) return false;
      this.#yield(ticket, stuck, nowMs);
    }
  }

  /** What is known of a limit that lacks an amount; undefined when the ledger is worth asking. */
  judge(pot: Pot, amount: number, nowMs: number): Verdict | undefined {
    const { limit } = pot.bound;
    const { current } = pot;
    if (this.#line.superseded !== undefined) return "superseded";
    if (current.rate !== undefined) {
      if (amount > limit.burst) return "too_large";
      if (current.rate.share >= WHOLE_SHARE) return "exhausted";
    }
    if (pot.closed !== undefined && nowMs < pot.closedUntilMs) return pot.closed;
    if (nowMs < pot.refusedUntilMs && lackOf(pot, amount, nowMs) >= pot.refusedNeed) {
      return "exhausted";
    }
    return this.#line.reachable(nowMs) ? undefined : "unavailable";
  }

  /** The first line for which asking is no use. */
  #findStuck(
    ticket: Ticket,
    from: number,
    nowMs: number,
    late: ((pot: Pot) => Verdict) | undefined,
  ): Stuck | undefined {
    for (let i = from; i < ticket.pots.length; i++) {
      const pot = ticket.pots[i];
      const amount = ticket.amounts[i];
      if (pot === undefined || amount === undefined) continue;
      if (i > from && (isForced(ticket, pot) || pot.current.fits(amount, nowMs))) continue;
      const verdict = this.judge(pot, amount, nowMs) ?? late?.(pot);
      if (verdict !== undefined) return { at: i, pot, amount, verdict };
    }
    return undefined;
  }

  /** Makes the ticket ask for less, or throws. */
  #yield(ticket: Ticket, stuck: Stuck, nowMs: number): void {
    const { at, pot, amount, verdict } = stuck;
    const { limit } = pot.bound;
    const unproven = isUnproven(verdict, pot);
    const { counters } = this.#desk;
    if (limit.audit) {
      // What nobody knows is no reason to say that it would have been refused.
      if (!unproven) {
        const { auditDeniedBy } = ticket.purpose.call.trail;
        if (!auditDeniedBy.includes(limit.policy)) auditDeniedBy.push(limit.policy);
        counters.auditDenied += 1;
      }
      ticket.drop(at);
      return;
    }
    if (unproven && limit.allowUnproven) {
      if (ticket.unprovenBy.length === 0) counters.unproven += 1;
      ticket.unprovenBy = [...ticket.unprovenBy, limit.policy];
      return;
    }
    if (!unproven && limit.clamp && fitAnswer(ticket, pot, nowMs)) {
      if (ticket.clampedBy === "") counters.clamped += 1;
      ticket.clampedBy = limit.policy;
      return;
    }
    const refusal = createRefusal({ pot, needed: amount, verdict, clock: this.#desk.clock });
    if (ticket.purpose.further !== true) {
      counters.denied[refusal.reason] = (counters.denied[refusal.reason] ?? 0) + 1;
    }
    throw refusal;
  }
}

interface Stuck {
  readonly at: number;
  readonly pot: Pot;
  readonly amount: number;
  readonly verdict: Verdict;
}

/** How much more must be granted for an amount, as a report says it. */
export function lackOf(pot: Pot, amount: number, nowMs: number): number {
  const { current } = pot;
  if (current.rate === undefined) return amount - current.available;
  return Math.ceil(amount * 1_000_000 - current.rate.levelAt(nowMs));
}

/** The first line that needs a proof; -1 when none does. */
function findUnforced(ticket: Ticket): number {
  return ticket.pots.findIndex((pot) => !isForced(ticket, pot));
}

function isForced(ticket: Ticket, pot: Pot): boolean {
  return ticket.unprovenBy.includes(pot.bound.limit.policy);
}
