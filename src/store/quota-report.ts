import type { Limit, LimitUnit, LimitWindow } from "../mesh/limit.ts";

/** A proxy's report, as the ledger takes it in: plain numbers, all within 2^53. */
export interface QuotaReportInput {
  readonly proxyId: string;
  readonly epoch: number;
  readonly sequence: number;
  readonly previousEpoch: number;
  /** The control's clock, in milliseconds since 1970. */
  readonly atMs: number;
  /**
   * True to go by the store's own clock where it has one: those of several controls may differ, and
   * a ledger has one time.
   */
  readonly byStoreClock?: boolean;
  readonly leases: readonly ReportedLease[];
  readonly confessions: readonly ReportedConfession[];
  /** By bucket. Of a bucket that is not in it nothing is granted: its limit is gone. */
  readonly terms: ReadonlyMap<string, QuotaTerms>;
}

/** One lease in a report. Totals count from the lease's beginning. */
export interface ReportedLease {
  readonly bucket: string;
  /** -1 asks for a lease in the window that is now. */
  readonly windowStartMs: number;
  readonly granted: number;
  readonly confirmed: number;
  readonly returned: number;
  readonly outstanding: number;
  readonly want: number;
  /** For a rate: millionths of the limit's unit. */
  readonly need: number;
  readonly levelReturned: number;
}

/** What an epoch that ended in a crash spent at most. */
export interface ReportedConfession {
  /** Whose epoch it was: the reporting proxy's own when absent. */
  readonly proxyId?: string;
  readonly epoch: number;
  readonly trusted: boolean;
  readonly leases: readonly {
    readonly bucket: string;
    readonly windowStartMs: number;
    readonly usedMax: number;
  }[];
}

/** A limit, as far as the ledger must know it. */
export interface QuotaTerms {
  readonly kind: Limit["kind"];
  readonly amount: number;
  readonly periodMs: number;
  readonly burst: number;
  readonly window: LimitWindow | undefined;
}

/** Starts of a proxy that are over. */
export interface PastEpochs {
  readonly proxyId: string;
  /** Those before this one. */
  readonly before: number;
}

/** The reporting proxy's own, and those of others that it confesses for. */
export function listPast(
  input: Pick<QuotaReportInput, "proxyId" | "epoch" | "confessions">,
): readonly PastEpochs[] {
  const past = new Map([[input.proxyId, input.epoch]]);
  for (const { proxyId = input.proxyId, epoch } of input.confessions) {
    if (proxyId === input.proxyId) continue;
    past.set(proxyId, Math.max(past.get(proxyId) ?? 0, epoch + 1));
  }
  return [...past].map(([proxyId, before]) => ({ proxyId, before }));
}

export type QuotaReportOutcome =
  | { readonly outcome: "refused"; readonly reason: string }
  | {
      readonly outcome: "answered";
      readonly grants: readonly QuotaGrant[];
      /** Buckets whose other holders shall give back. */
      readonly recalls: readonly string[];
      /** Sums that do not add up, in sentences: faults of Weir. */
      readonly violations: readonly string[];
      /** True while nothing is granted, since the ledger has lost commits. */
      readonly stopped?: boolean;
      /** Set when this report was the first to show that the ledger has lost commits. */
      readonly suspended: string | undefined;
    };

export type QuotaRefusal = "none" | "exhausted" | "recalling" | "gone" | "suspended" | "full";

/** The ledger's word on one lease. */
export interface QuotaGrant {
  readonly bucket: string;
  readonly windowStartMs: number;
  /** -1 means never; 0 that it is over. */
  readonly windowEndsInMs: number;
  readonly granted: number;
  readonly confirmed: number;
  readonly returned: number;
  readonly levelGranted: number;
  readonly levelReturned: number;
  readonly ceiling: number;
  /** Spent and forfeited in all windows that count. */
  readonly spent: number;
  readonly remaining: number;
  readonly refusal: QuotaRefusal;
  readonly recalled: boolean;
  /** 0 means that nobody knows. */
  readonly retryAfterMs: number;
}

/** A whole rate, in shares. */
export const WHOLE_RATE = 1_000_000;

/** Of a unit that a rate's level counts in. */
export const MICRO = 1_000_000;

/** What a bucket's form tells by itself, also when its policy is gone. */
export function readForm(form: string): { readonly kind: Limit["kind"]; readonly unit: LimitUnit } {
  if (form === "slots") return { kind: "concurrency", unit: "slots" };
  const [unit = "", window] = form.split(":");
  return { kind: window === "rate" ? "rate" : "budget", unit: units.get(unit) ?? "requests" };
}

const units: ReadonlyMap<string, LimitUnit> = new Map(
  (["nano_usd", "tokens", "input_tokens", "output_tokens", "requests"] as const).map((unit) => [
    unit,
    unit,
  ]),
);
