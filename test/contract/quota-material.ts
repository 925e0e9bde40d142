import type {
  QuotaGrant,
  QuotaReportInput,
  QuotaReportOutcome,
  QuotaTerms,
  ReportedConfession,
  ReportedLease,
} from "../../src/store/quota-report.ts";
import type { Store } from "../../src/store/store.ts";

/** Noon of a day without anything odd. */
export const NOON = Date.UTC(2026, 5, 10, 12);
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

export function budget(amount: number, more: Partial<QuotaTerms> = {}): QuotaTerms {
  return {
    kind: "budget",
    amount,
    periodMs: 0,
    burst: 0,
    window: { kind: "calendar", unit: "day", timeZone: "UTC" },
    ...more,
  };
}

export function rolling(amount: number, days: number): QuotaTerms {
  return budget(amount, { window: { kind: "rolling", days, timeZone: "UTC" } });
}

export function slots(amount: number): QuotaTerms {
  return { kind: "concurrency", amount, periodMs: 0, burst: 0, window: undefined };
}

/** So much a second. */
export function rate(amount: number, burst = amount): QuotaTerms {
  return { kind: "rate", amount, periodMs: 1000, burst, window: undefined };
}

export function report(lease: Partial<ReportedLease> & { readonly bucket: string }): ReportedLease {
  return {
    windowStartMs: -1,
    granted: 0,
    confirmed: 0,
    returned: 0,
    outstanding: 0,
    want: 0,
    need: 0,
    levelReturned: 0,
    ...lease,
  };
}

let names = 0;

/** A bucket that no other test uses. */
export function nameBucket(form = "requests:day@UTC"): string {
  names += 1;
  return `policies/p${names}|${form}|`;
}

/** What an input may say beside its leases. */
export interface SayOptions extends Partial<QuotaReportInput> {}

/** A proxy as the ledger sees it: counts its reports, and keeps nothing else. */
export class PretendProxy {
  readonly id: string;
  epoch: number;
  sequence = 0;
  previousEpoch = 0;
  readonly #store: () => Store;

  constructor(store: () => Store, id: string, epoch = 1) {
    this.#store = store;
    this.id = id;
    this.epoch = epoch;
  }

  /** The next report. */
  say(
    terms: Readonly<Record<string, QuotaTerms>>,
    leases: readonly ReportedLease[],
    more: SayOptions = {},
  ): Promise<QuotaReportOutcome> {
    this.sequence += 1;
    return this.repeat(terms, leases, more);
  }

  /** The last report once more. */
  repeat(
    terms: Readonly<Record<string, QuotaTerms>>,
    leases: readonly ReportedLease[],
    more: SayOptions = {},
  ): Promise<QuotaReportOutcome> {
    return this.#store().reportQuota({
      proxyId: this.id,
      epoch: this.epoch,
      sequence: this.sequence,
      previousEpoch: this.previousEpoch,
      atMs: NOON,
      leases,
      confessions: [],
      terms: new Map(Object.entries(terms)),
      ...more,
    });
  }

  /** A report of one lease; its answer. */
  async ask(
    terms: QuotaTerms,
    lease: Partial<ReportedLease> & { readonly bucket: string },
    more: SayOptions = {},
  ): Promise<QuotaGrant> {
    return onlyGrant(await this.say({ [lease.bucket]: terms }, [report(lease)], more));
  }

  /** Starts anew after a crash. */
  restart(): void {
    this.previousEpoch = this.epoch;
    this.epoch += 1;
    this.sequence = 0;
  }

  async confess(
    terms: Readonly<Record<string, QuotaTerms>>,
    confession: Partial<ReportedConfession>,
  ): Promise<QuotaReportOutcome> {
    const confessions = [{ epoch: this.epoch - 1, trusted: true, leases: [], ...confession }];
    return this.say(terms, [], { confessions });
  }
}

export function answered(outcome: QuotaReportOutcome) {
  if (outcome.outcome !== "answered") throw new Error(outcome.reason);
  if (outcome.violations.length > 0) throw new Error(outcome.violations.join(" "));
  return outcome;
}

export function onlyGrant(outcome: QuotaReportOutcome): QuotaGrant {
  const [grant, ...others] = answered(outcome).grants;
  if (grant === undefined || others.length > 0) throw new Error("not one grant");
  return grant;
}

/** What is spent, held and forfeited of a bucket in all its windows. */
export async function totalsOf(store: Store, bucket: string) {
  const policy = bucket.slice(0, bucket.indexOf("|"));
  const [status] = await store.quotaStatus({ by: "policy", name: policy, sinceMs: 0, limit: 10 });
  const totals = { spent: 0, leased: 0, forfeited: 0 };
  for (const window of status?.windows ?? []) {
    totals.spent += window.spent;
    totals.leased += window.leased;
    totals.forfeited += window.forfeited;
  }
  return totals;
}
