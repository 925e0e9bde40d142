import type { QuotaReply, QuotaReport } from "../../gen/weir/link/v1/link_service_pb.ts";
import type { Clock, Timer } from "../mesh/clock.ts";
import type { Watermarks } from "../mesh/quota.ts";
import type { QuotaCounters } from "./counters.ts";
import type { Pot } from "./pot.ts";
import { confess, reportPot, type SentLease } from "./report-lease.ts";

/** What the reporter works with. */
export interface ReporterTools {
  readonly clock: Clock;
  readonly counters: QuotaCounters;
  readonly watermarks: Watermarks;
  /** These leases are about to be reported. */
  reporting(sent: readonly SentLease[]): void;
  /** Takes up a reply that has come. */
  heard(reply: QuotaReply, answered: Answered): void;
  /** The ledger has gone, or says that it cannot answer. */
  lost(why: string): void;
}

/** What a reply answers. */
export interface Answered {
  readonly sentAtMs: number;
  readonly sent: ReadonlyMap<Pot, SentLease>;
}

/**
 * Tells the ledger what has changed, one report at a time: the next is made only when the one
 * before is answered, and until then that one is sent again as it is. So that nothing is counted
 * twice or lost, whatever the link does.
 */
export class Reporter {
  readonly #tools: ReporterTools;
  #send: ((report: QuotaReport) => void) | undefined;
  #queue: Pot[] = [];
  #sequence = 0n;
  #flight: Flight | undefined;
  #timer: Timer | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #sentAtMs = Number.NEGATIVE_INFINITY;
  #resend: Timer | undefined;
  #silentUntilMs = Number.NEGATIVE_INFINITY;
  #replied = false;
  #superseded: string | undefined;
  #confessed = false;

  constructor(tools: ReporterTools) {
    this.#tools = tools;
  }

  /** True when nothing waits to be reported or answered. */
  get idle(): boolean {
    return this.#queue.length === 0 && this.#flight === undefined;
  }

  /**
   * Why the ledger takes no report of this start any more; undefined while it does. What the leases
   * hold belongs to others then, and no later answer gives it back.
   */
  get superseded(): string | undefined {
    return this.#superseded;
  }

  reachable(nowMs: number): boolean {
    if (this.#superseded !== undefined) return false;
    return this.#send !== undefined && nowMs >= this.#silentUntilMs;
  }

  connected(send: (report: QuotaReport) => void): void {
    this.#send = send;
    this.#silentUntilMs = Number.NEGATIVE_INFINITY;
    if (this.#flight !== undefined) {
      this.#transmit(this.#flight);
      return;
    }
    // One that was due while there was no connection has no timer any more.
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.schedule(0);
  }

  disconnected(): void {
    this.#send = undefined;
    this.#resend?.cancel();
    this.#tools.lost("the link is down");
  }

  /** The bucket is in the next report, whenever that goes. */
  queue(pot: Pot): void {
    if (pot.queued) return;
    pot.queued = true;
    this.#queue.push(pot);
  }

  /** A report goes within this time, or as soon as the one before is answered. */
  schedule(delayMs: number): void {
    const dueMs = this.#tools.clock.now() + delayMs;
    if (dueMs >= this.#dueMs) return;
    this.#dueMs = dueMs;
    this.#timer?.cancel();
    this.#timer = this.#tools.clock.after(delayMs, () => this.#flush());
  }

  /** Once a second: reports what has changed, or now and then that nothing has. */
  tick(nowMs: number): void {
    if (this.#queue.length > 0 || nowMs - this.#sentAtMs >= IDLE_MS) this.schedule(0);
  }

  reply(reply: QuotaReply): void {
    const flight = this.#flight;
    if (flight === undefined || reply.sequence !== flight.report.sequence) return;
    if (reply.unavailable !== "") {
      if (reply.superseded) {
        this.#superseded = reply.unavailable;
        this.#resend?.cancel();
        this.#tools.lost(reply.unavailable);
        return;
      }
      this.#silentUntilMs = this.#tools.clock.now() + SILENT_MS;
      this.#transmitIn(flight, SILENT_MS);
      this.#tools.lost(reply.unavailable);
      return;
    }
    this.#flight = undefined;
    for (const pot of flight.sent.keys()) pot.reported = false;
    this.#resend?.cancel();
    this.#silentUntilMs = Number.NEGATIVE_INFINITY;
    this.#note(flight.report);
    this.#tools.heard(reply, flight);
    // What came up meanwhile, and what did not fit into one report.
    if (this.#dueMs <= this.#tools.clock.now()) this.#flush();
    else if (flight.full) this.schedule(0);
  }

  close(): void {
    this.#timer?.cancel();
    this.#resend?.cancel();
    this.#send = undefined;
  }

  #flush(): void {
    if (this.#send === undefined || this.#flight !== undefined) {
      // The reply or the next connection calls again.
      this.#timer?.cancel();
      this.#dueMs = Math.min(this.#dueMs, this.#tools.clock.now());
      return;
    }
    this.#timer?.cancel();
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#flight = this.#build();
    this.#transmit(this.#flight);
  }

  #build(): Flight {
    const { clock, watermarks } = this.#tools;
    const nowMs = clock.now();
    const sent = new Map<Pot, SentLease>();
    const leases: SentLease[] = [];
    let taken = 0;
    for (; taken < this.#queue.length && leases.length < LEASES_MAX; taken++) {
      const pot = this.#queue[taken];
      if (pot === undefined) continue;
      pot.queued = false;
      for (const lease of reportPot(pot, nowMs)) {
        leases.push(lease);
        sent.set(pot, lease);
        pot.reported = true;
      }
    }
    this.#queue = this.#queue.slice(taken);
    this.#tools.reporting(leases);
    this.#sequence += 1n;
    const report: QuotaReport = {
      $typeName: "weir.link.v1.QuotaReport",
      sequence: this.#sequence,
      leases: leases.map(({ lease }) => lease),
      confessions: this.#confessed ? [] : watermarks.left.map(confess),
      previousEpoch: BigInt(watermarks.previousEpoch),
    };
    return { report, sent, sentAtMs: nowMs, full: this.#queue.length > 0 };
  }

  #transmit(flight: Flight): void {
    if (this.#send === undefined || this.#superseded !== undefined) return;
    this.#sentAtMs = this.#tools.clock.now();
    this.#tools.counters.reports += 1;
    this.#transmitIn(flight, RESEND_MS);
    this.#send(flight.report);
  }

  /** Sends it again after a while, unless it is answered. */
  #transmitIn(flight: Flight, delayMs: number): void {
    this.#resend?.cancel();
    this.#resend = this.#tools.clock.after(delayMs, () => {
      if (this.#flight === flight) this.#transmit(flight);
    });
  }

  /** The ledger has the report: what earlier epochs left is safe with it. */
  #note(report: QuotaReport): void {
    const { watermarks, counters } = this.#tools;
    try {
      if (!this.#replied) watermarks.noteReplied();
      this.#replied = true;
      if (report.confessions.length > 0) {
        this.#confessed = true;
        counters.confessed += report.confessions.length;
        for (const { leases } of report.confessions) counters.forfeited += leases.length;
        for (const { epoch, proxyId } of report.confessions) {
          watermarks.forget([Number(epoch)], proxyId === "" ? undefined : proxyId);
        }
      }
    } catch {
      // A disk that fails is told by the next reservation; confessing twice does no harm.
    }
  }
}

interface Flight extends Answered {
  readonly report: QuotaReport;
  /** More has changed than one report holds. */
  readonly full: boolean;
}

const LEASES_MAX = 1_000;
const RESEND_MS = 2_000;
const SILENT_MS = 500;
const IDLE_MS = 10_000;
