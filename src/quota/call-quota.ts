import type { AskBounds, ChatAsk, EmbedAsk, EmbedBounds } from "../mesh/ask.ts";
import type { Call } from "../mesh/call.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Leg } from "../mesh/grant.ts";
import type { CallQuota, RateStates, Reservation } from "../mesh/quota.ts";
import type { Target } from "../mesh/target.ts";
import { boundAmount, countsOutput } from "./amount.ts";
import { type AskBound, boundAsk } from "./bound.ts";
import type { Desk } from "./desk.ts";
import type { Gate } from "./gate.ts";
import { Held } from "./held.ts";
import type { Pot } from "./pot.ts";
import type { Pots } from "./pots.ts";
import { remainingOf } from "./quota-errors.ts";
import { readRates } from "./rates.ts";
import type { Refill } from "./refill.ts";
import { showsAll } from "./shows-all.ts";
import { isSliced, SLICE_TOKENS, SlicedReservation } from "./slices.ts";
import { Ticket } from "./ticket.ts";

/** What calls are accounted for with. */
export interface Till {
  readonly desk: Desk;
  readonly pots: Pots;
  readonly gate: Gate;
  readonly refill: Refill;
  readonly journalFault: () => string | undefined;
}

/** What one call takes. */
export class CallTill implements CallQuota {
  readonly #till: Till;
  readonly #call: Call;
  readonly #ask: ChatAsk | EmbedAsk;
  readonly #held: Held;
  /** Read from the message when the first attempt needs it. */
  #bounds: AskBounds | EmbedBounds | undefined;
  /** Of the last attempt: the buckets of its leg, and its provider. */
  #path: readonly Pot[] = NO_POTS;
  #provider = "";

  constructor(till: Till, call: Call, ask: ChatAsk | EmbedAsk) {
    this.#till = till;
    this.#call = call;
    this.#ask = ask;
    this.#held = new Held(till.desk);
  }

  reserve(leg: Leg, target: Target): Reservation | Promise<Reservation> {
    const { gate, refill } = this.#till;
    const ticket = this.#fill(leg, target);
    if (gate.admit(ticket)) return this.#slice(ticket);
    const waiting = refill.wait(ticket);
    return ticket.sliced ? waiting.then(() => this.#slice(ticket)) : waiting;
  }

  end(): void {
    this.#held.end();
  }

  rates(): RateStates | undefined {
    return readRates(this.#path, this.#provider, this.#till.desk.clock.now());
  }

  /** What it is to routing. One that had to be shortened has all that it may use already. */
  #slice(ticket: Ticket): Reservation {
    if (!ticket.sliced || ticket.clampedBy !== "") return ticket;
    return new SlicedReservation(this.#till, ticket);
  }

  /** Whether only a slice of the answer is taken from budgets now. */
  #maySlice(bound: AskBound, path: readonly Pot[], target: Target): boolean {
    const ask = this.#ask;
    if (bound.output <= SLICE_TOKENS || !("chat" in ask) || !ask.stream) return false;
    if (!path.some(isSliced) || !showsAll(ask, bound.choices, target)) return false;
    const nowMs = this.#till.desk.clock.now();
    return path.every((pot) => {
      const { limit } = pot.bound;
      if (!limit.clamp || limit.audit || !isSliced(pot)) return true;
      if (!limit.concernsProvider(target.provider.name)) return true;
      // A shorter answer from the beginning is better than one that is cut.
      return remainingOf(pot, nowMs) >= (boundAmount(limit, target, bound, bound.output) ?? 0);
    });
  }

  #fill(leg: Leg, target: Target): Ticket {
    const { desk, pots } = this.#till;
    this.#bounds ??= this.#ask.bounds();
    const bound = boundAsk(this.#ask, this.#bounds, target, leg.model.contextTokensMax);
    const ticket = new Ticket(desk, { call: this.#call, target, bound, held: this.#held });
    if (leg.limits === undefined) return ticket;
    const provider = target.provider.name;
    const path = pots.along(leg.limits);
    this.#path = path;
    this.#provider = provider;
    ticket.sliced = this.#maySlice(bound, path, target);
    let perCall = 0;
    let spends = false;
    for (const pot of path) {
      const { limit } = pot.bound;
      if (!limit.concernsProvider(provider)) continue;
      if (limit.kind === "budget" && !limit.audit) spends = true;
      if (pot.perCall) perCall += 1;
      else this.#add(ticket, pot, bound);
    }
    if (spends) this.#checkJournal();
    ticket.callFrom = ticket.pots.length;
    if (perCall > 0) this.#addHeld(ticket, path, provider);
    return ticket;
  }

  #add(ticket: Ticket, pot: Pot, bound: AskBound): void {
    const output = ticket.sliced && isSliced(pot) ? SLICE_TOKENS : bound.output;
    const amount = boundAmount(pot.bound.limit, ticket.purpose.target, bound, output);
    if (amount === undefined || amount === 0) return;
    ticket.pots.push(pot);
    ticket.amounts.push(amount);
    if (bound.output > 0 && countsOutput(pot.unit)) ticket.outputTokensMax = bound.output;
  }

  /** Requests and slots that no attempt before has taken. */
  #addHeld(ticket: Ticket, path: readonly Pot[], provider: string): void {
    for (const pot of path) {
      if (!pot.perCall || this.#held.has(pot)) continue;
      if (!pot.bound.limit.concernsProvider(provider)) continue;
      ticket.pots.push(pot);
      ticket.amounts.push(1);
    }
  }

  #checkJournal(): void {
    const fault = this.#till.journalFault();
    if (fault === undefined) return;
    const { denied } = this.#till.desk.counters;
    denied.QUOTA_UNAVAILABLE = (denied.QUOTA_UNAVAILABLE ?? 0) + 1;
    throw new MeshError(
      "QUOTA_UNAVAILABLE",
      "This proxy cannot record what is spent: its disk is full or failing. Whoever runs Weir must " +
        "make room on it.",
      { retryAfterMs: 5_000, internal: fault },
    );
  }
}

const NO_POTS: readonly Pot[] = [];
