import type { Cost, Usage } from "../../gen/weir/v1/usage_pb.ts";
import { asMeshError } from "../mesh/errors.ts";
import type { Reservation } from "../mesh/quota.ts";
import { boundAmount } from "./amount.ts";
import type { Desk } from "./desk.ts";
import type { Gate } from "./gate.ts";
import type { Pot } from "./pot.ts";
import type { Refill } from "./refill.ts";
import { Ticket } from "./ticket.ts";

/** An answer that may get longer than this is reserved piece by piece, so many tokens each. */
export const SLICE_TOKENS = 8_192;

/** So many tokens may be on their way from the vendor, unseen: they are taken before they come. */
export const LEAD_TOKENS = 1_024;

/** What slices are taken with. */
export interface SliceTools {
  readonly desk: Desk;
  readonly gate: Gate;
  readonly refill: Refill;
}

/**
 * A reservation of a long answer's beginning. More is taken from budgets while the answer streams,
 * before what was produced can pass what is taken; the next piece is asked for when half of the
 * last is left. Rates, and what counts requests or input alone, are taken whole from the beginning.
 */
export class SlicedReservation implements Reservation {
  readonly #tools: SliceTools;
  readonly #first: Ticket;
  readonly #more: Ticket[] = [];
  /** Tokens of one piece, of all answers together. */
  readonly #slice: number;
  readonly #lead: number;
  /** The most that may be produced. */
  readonly #whole: number;
  /** So much is taken. */
  #covered: number;
  /** Nothing needs a look while no more than this has been produced. */
  #calmUntil: number;
  /** Budgets that further pieces are taken from. */
  #pots: readonly Pot[];
  /** A piece that the ledger is being asked for. */
  #asked: Promise<void> | undefined;
  /** Why the last piece was not to be had. */
  #refusedBy = "";
  #ended = false;
  clampedBy: string;
  unprovenBy: readonly string[];

  /** `first` is taken, for one slice of each answer. */
  constructor(tools: SliceTools, first: Ticket) {
    this.#tools = tools;
    this.#first = first;
    this.clampedBy = first.clampedBy;
    this.unprovenBy = first.unprovenBy;
    const { choices, output } = first.purpose.bound;
    const whole = Math.min(first.outputTokensMax ?? output, output);
    this.#slice = SLICE_TOKENS * choices;
    this.#lead = LEAD_TOKENS * choices;
    this.#whole = whole * choices;
    this.#covered = Math.min(this.#slice, this.#whole);
    this.#pots = first.pots.filter((pot) => isSliced(pot));
    this.#calmUntil = this.#calm();
  }

  get outputTokensMax(): number | undefined {
    return this.#first.outputTokensMax;
  }

  /** How many output tokens are taken now. */
  get covered(): number {
    return this.#covered;
  }

  cover(outputTokensMost: number): boolean | Promise<void> {
    return outputTokensMost <= this.#calmUntil || this.#look(outputTokensMost);
  }

  settle(usage: Usage | undefined, cost: Cost | undefined): void {
    if (this.#more.length === 0) this.#first.settle(usage, cost);
    else if (!this.#ended) this.#settleAll(usage, cost);
    this.#ended = true;
  }

  release(): void {
    this.#ended = true;
    this.#first.release();
    for (const ticket of this.#more) ticket.release();
  }

  /** Something is to be taken soon, or at once. */
  #look(most: number): boolean | Promise<void> {
    for (;;) {
      const needed = Math.min(most + this.#lead, this.#whole) - this.#covered;
      if (needed <= 0) break;
      if (this.#asked !== undefined) return this.#asked;
      const piece = Math.min(Math.max(needed, this.#slice), this.#whole - this.#covered);
      if (this.#take(piece) || (this.#asked === undefined && this.#take(needed))) continue;
      if (this.#asked !== undefined) return this.#asked;
      this.clampedBy = this.#refusedBy;
      this.#tools.desk.counters.cut += 1;
      return false;
    }
    const left = this.#whole - this.#covered;
    if (left > 0 && this.#asked === undefined && most > this.#covered - this.#slice / 2) {
      this.#take(Math.min(this.#slice, left));
      // Asked for or refused: the next look is when it is needed.
      this.#calmUntil = this.#covered - this.#lead;
      if (this.#refusedBy === "" && this.#asked === undefined) this.#calmUntil = this.#calm();
    }
    return true;
  }

  #calm(): number {
    if (this.#covered >= this.#whole) return Number.POSITIVE_INFINITY;
    return this.#covered - this.#slice / 2;
  }

  /** Takes a piece. False when it is refused, or has to be asked for: then it is. */
  #take(tokens: number): boolean {
    const { gate, refill } = this.#tools;
    const ticket = this.#write(tokens);
    this.#refusedBy = "";
    try {
      if (gate.admit(ticket)) {
        this.#add(ticket, tokens);
        return true;
      }
      this.#asked = refill.wait(ticket).then(
        () => this.#receive(ticket, tokens),
        (thrown) => this.#note(thrown),
      );
    } catch (thrown) {
      this.#note(thrown);
    }
    return false;
  }

  #write(tokens: number): Ticket {
    const { purpose } = this.#first;
    const ticket = new Ticket(this.#tools.desk, { ...purpose, further: true });
    const { target } = purpose;
    const bound = { input: purpose.bound.input, output: 0, choices: 1 };
    for (const pot of this.#pots) {
      const { limit } = pot.bound;
      const before = boundAmount(limit, target, bound, this.#covered) ?? 0;
      const after = boundAmount(limit, target, bound, this.#covered + tokens) ?? 0;
      ticket.pots.push(pot);
      // What is rounded is rounded up, also where two pieces are asked for at once.
      ticket.amounts.push(after - before + (pot.unit === "nano_usd" ? 1 : 0));
    }
    ticket.callFrom = ticket.pots.length;
    return ticket;
  }

  #add(ticket: Ticket, tokens: number): void {
    this.#more.push(ticket);
    this.#covered += tokens;
    this.#calmUntil = this.#calm();
    // A limit that only audits may have stepped aside.
    if (ticket.pots.length < this.#pots.length) this.#pots = [...ticket.pots];
    const { unprovenBy } = ticket.purpose.call.trail;
    for (const policy of ticket.unprovenBy) {
      if (this.unprovenBy.includes(policy)) continue;
      this.unprovenBy = [...this.unprovenBy, policy];
      unprovenBy.push(policy);
    }
  }

  /** The ledger has granted a piece, perhaps too late. */
  #receive(ticket: Ticket, tokens: number): void {
    this.#asked = undefined;
    if (this.#ended) ticket.release();
    else this.#add(ticket, tokens);
  }

  #note(thrown: unknown): void {
    this.#asked = undefined;
    const { metadata } = asMeshError(thrown).details;
    this.#refusedBy = metadata?.policy ?? this.#pots[0]?.bound.limit.policy ?? "";
  }

  /** Charges what was used to the pieces in their order, and what is beyond all to the last. */
  #settleAll(usage: Usage | undefined, cost: Cost | undefined): void {
    const first = this.#first;
    const tickets = [first, ...this.#more];
    const parts = tickets.map(() => new Map<Pot, number>());
    for (const pot of first.pots) {
      const taken = tickets.map((ticket) => ticket.amountOf(pot));
      const reserved = taken.reduce((sum, each) => sum + each, 0);
      // A limit that only audits and stepped aside knows no more than was taken of it.
      const aside = isSliced(pot) && !this.#pots.includes(pot);
      let rest = aside
        ? Math.min(first.measure(pot, reserved, usage, cost), reserved)
        : first.spend(pot, reserved, usage, cost);
      const last = taken.findLastIndex((each) => each > 0);
      taken.forEach((each, i) => {
        const part = i === last ? rest : Math.min(rest, each);
        parts[i]?.set(pot, part);
        rest -= part;
      });
    }
    tickets.forEach((ticket, i) => {
      ticket.settleParts(parts[i] ?? new Map());
    });
  }
}

/** Whether a bucket's part grows with the answer, piece by piece. */
export function isSliced({ bound, unit }: Pot): boolean {
  return bound.limit.kind === "budget" && (unit === "nano_usd" || /^(output_)?tokens$/.test(unit));
}
