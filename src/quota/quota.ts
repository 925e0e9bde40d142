import type {
  QuotaRecall,
  QuotaReply,
  QuotaReport,
} from "../../gen/weir/link/v1/link_service_pb.ts";
import type { ChatAsk, EmbedAsk } from "../mesh/ask.ts";
import type { Call } from "../mesh/call.ts";
import type { Clock, Timer } from "../mesh/clock.ts";
import type { BoundLimit } from "../mesh/limit.ts";
import type { BucketState, CallQuota, Quota, QuotaLink, Watermarks } from "../mesh/quota.ts";
import type { Account } from "./account.ts";
import { Admission } from "./admission.ts";
import { CallTill, type Till } from "./call-quota.ts";
import { createCounters, type QuotaCounters } from "./counters.ts";
import type { Desk } from "./desk.ts";
import { Gate } from "./gate.ts";
import { hearGrant, RECALL_MS, yieldLease } from "./hear-grant.ts";
import { Housekeeping } from "./housekeeping.ts";
import { Inquiry } from "./inquiry.ts";
import { OpenList } from "./open-list.ts";
import type { Pot } from "./pot.ts";
import { Pots } from "./pots.ts";
import { limitOf, resetsIn, unspentOf } from "./quota-errors.ts";
import { Refill } from "./refill.ts";
import { type Answered, Reporter } from "./reporter.ts";

/** What the room needs. */
export interface QuotaTools {
  readonly clock: Clock;
  readonly watermarks: Watermarks;
  /**
   * Why requests cannot be recorded now, such as a full disk; undefined when all is well. Nothing
   * that counts against a budget is admitted meanwhile.
   */
  journalFault?(): string | undefined;
  readonly log?: QuotaLog;
  readonly options?: Partial<QuotaOptions>;
}

/** Where the room tells those who run Weir what happens; pino's loggers fit. */
export interface QuotaLog {
  warn(facts: Readonly<Record<string, unknown>>, message: string): void;
}

/** What an operator may turn. All in milliseconds. */
export interface QuotaOptions {
  /** How long a request that lacks something waits for the ledger. */
  readonly refillWaitMs: number;
  /** How long in all while other proxies are asked to give back. */
  readonly recallWaitMs: number;
  /** How often the ledger is asked again meanwhile. */
  readonly recallPollMs: number;
  /** How long an urgent report waits for company. */
  readonly coalesceMs: number;
  /** How often what has changed is reported. */
  readonly reportMs: number;
}

/** The quota room of a proxy. */
export interface QuotaRoomProxy extends Quota, QuotaLink {
  readonly counters: QuotaCounters;
  /** What a caller is told of its limits. */
  states(limits: readonly BoundLimit[]): BucketState[];
  /**
   * The same, after the ledger was asked anew. Takes a few milliseconds, and resolves with what is
   * known when the ledger does not answer soon.
   */
  inquire(limits: readonly BoundLimit[]): Promise<BucketState[]>;
  /** What is wrong and what to do, in a sentence; undefined when all is well. */
  fault(): string | undefined;
  /** How many sums do not come out; 0 when all is well. Costs a walk over all buckets. */
  invariant(): number;
  /**
   * A stop in good order, once the calls have ended: gives everything back and reports it. Resolves
   * when the ledger has it, or after `waitMs`.
   */
  close(waitMs?: number): Promise<void>;
}

export const defaultQuotaOptions: QuotaOptions = {
  refillWaitMs: 2_000,
  recallWaitMs: 4_000,
  recallPollMs: 50,
  coalesceMs: 3,
  reportMs: 1_000,
};

export function createQuota(tools: QuotaTools): QuotaRoomProxy {
  return new QuotaRoom(tools);
}

class QuotaRoom implements QuotaRoomProxy, Desk {
  readonly clock: Clock;
  readonly counters = createCounters();
  readonly open = new OpenList();
  readonly #tools: QuotaTools;
  readonly #options: QuotaOptions;
  readonly #pots: Pots;
  readonly #admission: Admission;
  readonly #reporter: Reporter;
  readonly #refill: Refill;
  readonly #till: Till;
  readonly #housekeeping: Housekeeping;
  readonly #ticking: Timer;
  readonly #inquiry: Inquiry;
  #ticks = 0;
  /** The ledger has lost what it had committed, and was told all that is held here. */
  #suspended = false;
  #closed: (() => void) | undefined;

  constructor(tools: QuotaTools) {
    this.#tools = tools;
    this.clock = tools.clock;
    this.#options = { ...defaultQuotaOptions, ...tools.options };
    this.#pots = new Pots(tools.clock);
    this.#inquiry = new Inquiry(tools.clock);
    this.#admission = new Admission(this, tools.watermarks);
    this.#reporter = new Reporter({
      clock: tools.clock,
      counters: this.counters,
      watermarks: tools.watermarks,
      reporting: (sent) => this.#admission.lower(sent.map(({ account }) => account)),
      heard: (reply, answered) => this.#heard(reply, answered),
      lost: (why) => this.#lost(why),
    });
    const gate = new Gate(this, this.#admission, this.#reporter);
    this.#refill = new Refill(this, gate, this.#options, (pot) => this.#ask(pot));
    this.#housekeeping = new Housekeeping(this, this.#pots);
    const journalFault = () => tools.journalFault?.();
    this.#till = { desk: this, pots: this.#pots, gate, refill: this.#refill, journalFault };
    this.#ticking = tools.clock.every(this.#options.reportMs, () => this.#tick());
  }

  begin(call: Call, ask: ChatAsk | EmbedAsk): CallQuota {
    return new CallTill(this.#till, call, ask);
  }

  states(limits: readonly BoundLimit[]): BucketState[] {
    const nowMs = this.clock.now();
    return this.#pots.along(limits).map((pot) => {
      const heard = pot.word !== undefined || pot.current.granted > 0;
      if (!heard && !pot.curious) {
        pot.curious = true;
        this.changed(pot);
        this.#reporter.schedule(this.#options.coalesceMs);
      }
      const ceiling = limitOf(pot);
      return {
        bound: pot.bound,
        known: heard,
        ceiling,
        remaining: heard ? Math.max(0, unspentOf(pot, nowMs)) : ceiling,
        resetsInMs: resetsIn(pot, nowMs),
      };
    });
  }

  async inquire(limits: readonly BoundLimit[]): Promise<BucketState[]> {
    const pots = this.#pots.along(limits);
    const asked = this.#inquiry.select(pots);
    for (const pot of asked) {
      pot.curious = true;
      this.changed(pot);
    }
    if (asked.size > 0) this.#reporter.schedule(this.#options.coalesceMs);
    await this.#inquiry.answered(pots.filter((pot) => pot.word === undefined || asked.has(pot)));
    return this.states(limits);
  }

  fault(): string | undefined {
    const why = this.#reporter.superseded;
    if (why === undefined) return undefined;
    return `Nothing that is limited is admitted: ${why} Start this proxy again.`;
  }

  invariant(): number {
    return this.#housekeeping.countUnsound();
  }

  connected(send: (report: QuotaReport) => void): void {
    this.#reporter.connected(send);
  }

  disconnected(): void {
    this.#reporter.disconnected();
  }

  reply(reply: QuotaReply): void {
    this.#reporter.reply(reply);
    if (this.#reporter.idle) this.#closed?.();
  }

  recall(recall: QuotaRecall): void {
    const nowMs = this.clock.now();
    for (const bucket of recall.buckets) {
      const pot = this.#pots.get(bucket);
      if (pot === undefined) continue;
      pot.current.recalledUntilMs = nowMs + RECALL_MS;
      this.#yield(pot.current, nowMs);
    }
  }

  async close(waitMs = 1_000): Promise<void> {
    this.#ticking.cancel();
    this.#housekeeping.returnAll(this.clock.now());
    if (this.#reporter.reachable(this.clock.now()) && !this.#reporter.idle) {
      this.#reporter.schedule(0);
      await new Promise<void>((resolve) => {
        this.#closed = resolve;
        this.clock.after(waitMs, resolve);
      });
    }
    const left = this.#housekeeping.isEmpty();
    this.#reporter.disconnected();
    this.#reporter.close();
    if (left && this.#reporter.idle) this.#tools.watermarks.done?.();
  }

  changed(pot: Pot): void {
    // A request that outlives its bucket here has left nothing in it: only of a rate's is that so.
    if (pot.forgotten) return;
    this.#reporter.queue(pot);
    this.#housekeeping.watch(pot);
  }

  low(pot: Pot): void {
    // Once until the ledger has answered, or the next second has come.
    pot.lowWater = Number.NEGATIVE_INFINITY;
    this.changed(pot);
    this.#reporter.schedule(this.#options.coalesceMs);
  }

  freed(pot: Pot): void {
    this.#refill.wake(pot);
  }

  returned(pot: Pot): void {
    this.changed(pot);
    this.#reporter.schedule(this.#options.coalesceMs);
  }

  overran(account: Account): void {
    this.#admission.overran(account);
  }

  forgot(account: Account): void {
    this.#admission.forgot(account);
  }

  #ask(pot: Pot): void {
    this.changed(pot);
    const { recallPollMs, coalesceMs } = this.#options;
    this.#reporter.schedule(pot.patient ? recallPollMs : coalesceMs);
  }

  /** First all grants, then those who wait, and what others need at last. */
  #heard(reply: QuotaReply, answered: Answered): void {
    const nowMs = this.clock.now();
    // Nobody else can tell an older ledger what it has granted here, also of leases that rest.
    if (reply.suspended && !this.#suspended) {
      this.#housekeeping.reportAll();
      this.#reporter.schedule(this.#options.coalesceMs);
    }
    this.#suspended = reply.suspended;
    const heard: Pot[] = [];
    const recalled: Account[] = [];
    for (const grant of reply.leases) {
      const pot = this.#pots.get(grant.bucket);
      if (pot === undefined) continue;
      const sent = answered.sent.get(pot);
      const account = hearGrant(pot, grant, { nowMs, sentAtMs: answered.sentAtMs, sent });
      if (account !== undefined) recalled.push(account);
      // What was admitted without proof is the lease's debt from its beginning.
      this.#admission.overran(pot.current);
      heard.push(pot);
    }
    for (const pot of heard) this.#refill.wake(pot);
    for (const account of recalled) this.#yield(account, nowMs);
    for (const pot of heard) if (pot.closed === "gone") this.#yield(pot.current, nowMs);
    for (const pot of heard) if (needsReport(pot)) this.changed(pot);
  }

  #yield(account: Account, nowMs: number): void {
    yieldLease(account, nowMs);
    if (account.dirty) this.returned(account.pot);
  }

  #lost(why: string): void {
    if (this.#closed === undefined) this.#tools.log?.warn({ why }, "The ledger is out of reach.");
    this.#refill.wakeAll();
  }

  #tick(): void {
    const nowMs = this.clock.now();
    this.#housekeeping.tick(nowMs);
    this.#reporter.tick(nowMs);
    this.#ticks += 1;
    if (this.#ticks % CHECK_TICKS !== 0) return;
    const unsound = this.invariant();
    if (unsound === 0) return;
    this.counters.unsound += unsound;
    this.#tools.log?.warn({ accounts: unsound }, "The sums of leases do not come out.");
  }
}

function needsReport(pot: Pot): boolean {
  return pot.current.dirty || pot.draining.some((account) => account.dirty);
}

/** The check walks over everything: not every second. */
const CHECK_TICKS = 10;
