import type { Policy } from "../../gen/weir/admin/v1/policy_pb.ts";
import type { QuotaReply, QuotaReport } from "../../gen/weir/link/v1/link_service_pb.ts";
import type { Clock } from "../mesh/clock.ts";
import type { ProxyStart, Recall } from "../mesh/hub.ts";
import { parseBucket } from "../mesh/limit.ts";
import type { QuotaReportOutcome, QuotaTerms } from "../store/quota-report.ts";
import type { QuotaStore } from "../store/quota-store.ts";
import type { FaultListener } from "./connect-errors.ts";
import type { BudgetReading } from "./quota-alerts.ts";
import { createLimitFinder, type LimitFinder } from "./quota-limits.ts";
import { readBudgets } from "./quota-readings.ts";
import { createRecalls, type Recalls } from "./quota-recalls.ts";
import { createReply, createUnavailable, readReport } from "./quota-wire.ts";

/** The control's side of quotas: takes reports of proxies, and grants leases from the store. */
export interface QuotaLedger {
  /** Never rejects, and answers in about a second whatever the store does. */
  reportQuota(from: ProxyStart, report: QuotaReport): Promise<QuotaReply>;
  onRecall(listener: (recall: Recall) => void): () => void;
  /** Policies may have changed: what a lower limit no longer covers is called back. */
  policiesChanged(): void;
  readonly counters: QuotaCounters;
  /** Ends timers. */
  close(): void;
}

/** What has happened since the process began. */
export interface QuotaCounters {
  readonly reports: number;
  /** Reports that were not answered in time, or not at all. */
  readonly unavailable: number;
  /** Sums that did not add up: must stay 0. */
  readonly violations: number;
}

export interface QuotaLedgerOptions {
  readonly store: QuotaStore;
  readonly clock: Clock;
  /** A policy as it is now; undefined when there is none. */
  readonly findPolicy: (name: string) => Policy | undefined;
  readonly onFault: FaultListener;
  /** Told what budgets stand at, after each report. */
  readonly onReadings?: (readings: readonly BudgetReading[]) => void;
  /** True where other control processes may use the same store. */
  readonly shared: boolean;
}

export function createQuotaLedger(options: QuotaLedgerOptions): QuotaLedger {
  return new Ledger(options);
}

class Ledger implements QuotaLedger {
  readonly #options: QuotaLedgerOptions;
  readonly #limits: LimitFinder;
  readonly #recalls: Recalls;
  /**
   * Reports of a proxy go one after the other: here is the one that runs, or whose answer came too
   * late and is kept for when it comes again.
   */
  readonly #turns = new Map<string, Turn>();
  readonly #stop: () => void;
  #reports = 0;
  #unavailable = 0;
  #violations = 0;
  #fault = "";

  constructor(options: QuotaLedgerOptions) {
    const { store, clock, shared, findPolicy } = options;
    this.#options = options;
    this.#limits = createLimitFinder(findPolicy);
    this.#recalls = createRecalls({ store, clock, shared, limits: this.#limits });
    const expiry = clock.every(EXPIRE_EVERY_MS, () => this.#expire());
    this.#stop = () => expiry.cancel();
  }

  get counters(): QuotaCounters {
    const [reports, unavailable] = [this.#reports, this.#unavailable];
    return { reports, unavailable, violations: this.#violations };
  }

  readonly onRecall = (listener: (recall: Recall) => void): (() => void) =>
    this.#recalls.listen(listener);

  policiesChanged(): void {
    this.#recalls.policiesChanged();
  }

  close(): void {
    this.#stop();
    this.#recalls.close();
  }

  readonly reportQuota = async (from: ProxyStart, report: QuotaReport): Promise<QuotaReply> => {
    this.#reports += 1;
    const { promise: late, resolve } = Promise.withResolvers<QuotaReply>();
    const timer = this.#options.clock.after(ANSWER_MS, () => {
      const turn = this.#turns.get(from.proxyId);
      if (turn !== undefined && isOf(turn, from, report)) turn.late = true;
      resolve(createUnavailable(report.sequence, "The ledger's store does not answer."));
    });
    const reply = await Promise.race([this.#applyInTurn(from, report), late]);
    timer.cancel();
    if (reply.unavailable !== "") this.#unavailable += 1;
    return reply;
  };

  /**
   * One that comes again joins the one under way: a slow store must not do everything twice.
   * Another one that comes while one is under way, because that one's answer is late, is not done.
   */
  async #applyInTurn(from: ProxyStart, report: QuotaReport): Promise<QuotaReply> {
    const { proxyId, epoch } = from;
    const before = this.#turns.get(proxyId);
    if (before !== undefined && isOf(before, from, report)) return before.reply;
    if (before?.running === true) {
      await before.reply;
      if (this.#turns.get(proxyId)?.running === true) {
        return createUnavailable(report.sequence, "A report of this proxy is under way.");
      }
    }
    this.#forgetSome();
    const reply = this.#apply(from, report);
    const turn: Turn = { epoch, sequence: report.sequence, reply, running: true, late: false };
    this.#turns.set(proxyId, turn);
    const { unavailable } = await reply;
    turn.running = false;
    if (!turn.late || unavailable !== "") this.#turns.delete(proxyId);
    return reply;
  }

  /** Answers of proxies that have not come again. */
  #forgetSome(): void {
    if (this.#turns.size < TURNS_MAX) return;
    for (const [proxyId, { running }] of this.#turns) if (!running) this.#turns.delete(proxyId);
  }

  async #apply(from: ProxyStart, report: QuotaReport): Promise<QuotaReply> {
    const { store, clock } = this.#options;
    try {
      const input = readReport(from, report, {
        atMs: Math.floor(clock.wallMs()),
        byStoreClock: true,
        terms: this.#findTerms(report),
      });
      const outcome = await store.reportQuota(input);
      this.#tell("");
      if (outcome.outcome === "refused") {
        return createUnavailable(report.sequence, outcome.reason, true);
      }
      this.#follow(from, outcome);
      return createReply(report.sequence, outcome.grants, outcome.stopped);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      this.#tell(`A quota report of ${from.proxyId} could not be booked: ${text}`);
      return createUnavailable(report.sequence, "The ledger cannot be written.");
    }
  }

  #findTerms(report: QuotaReport): ReadonlyMap<string, QuotaTerms> {
    const terms = new Map<string, QuotaTerms>();
    const add = ({ bucket }: { readonly bucket: string }) => {
      const parts = parseBucket(bucket);
      if (parts === undefined) return;
      const limit = this.#limits.find(parts.policy);
      if (limit === undefined || limit.form !== parts.form) return;
      const { kind, amount, periodMs, burst, window } = limit;
      this.#recalls.note(limit);
      terms.set(bucket, { kind, amount, periodMs, burst, window });
    };
    report.leases.forEach(add);
    for (const { leases } of report.confessions) leases.forEach(add);
    return terms;
  }

  /** What follows from a report for others. */
  #follow(
    from: ProxyStart,
    outcome: Extract<QuotaReportOutcome, { readonly outcome: "answered" }>,
  ): void {
    const { onFault, onReadings } = this.#options;
    this.#violations += outcome.violations.length;
    for (const violation of outcome.violations) {
      onFault(`The quota ledger contradicts itself, which is a fault of Weir: ${violation}`);
    }
    if (outcome.suspended !== undefined) {
      onFault(
        `Quotas are suspended, and nothing is granted: the ledger has lost what it had committed. ` +
          `${outcome.suspended} Restore the newest database, or call AdminService.ResumeQuota.`,
      );
    }
    if (outcome.recalls.length > 0) this.#recalls.emit(outcome.recalls, from.proxyId);
    if (onReadings !== undefined) onReadings(readBudgets(outcome.grants, this.#limits));
  }

  #expire(): void {
    const { store, clock } = this.#options;
    const order = { beforeMs: Math.floor(clock.wallMs()) - KEEP_MS, limit: EXPIRED_A_TIME };
    store
      .expireQuota(order)
      .then((expired) => {
        if (expired === EXPIRED_A_TIME) this.#expire();
      })
      .catch((error: unknown) => this.#tell(`Old quota windows cannot be deleted: ${error}`));
  }

  /** Once for a store that is away, however often it is asked. */
  #tell(text: string): void {
    if (text !== "" && text !== this.#fault) this.#options.onFault(text);
    this.#fault = text;
  }
}

interface Turn {
  readonly epoch: number;
  readonly sequence: bigint;
  readonly reply: Promise<QuotaReply>;
  running: boolean;
  /** True once the proxy was told that there is no answer. */
  late: boolean;
}

function isOf(turn: Turn, from: ProxyStart, report: QuotaReport): boolean {
  return turn.epoch === from.epoch && turn.sequence === report.sequence;
}

const ANSWER_MS = 2_500;
const TURNS_MAX = 1000;
const EXPIRE_EVERY_MS = 3_600_000;
const EXPIRED_A_TIME = 1000;
/** As long as confessions are understood. */
const KEEP_MS = 400 * 86_400_000;
