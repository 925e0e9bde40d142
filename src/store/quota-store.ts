import type { QuotaRelease, QuotaReleaseInput } from "./quota-release.ts";
import type { QuotaReportInput, QuotaReportOutcome } from "./quota-report.ts";
import type { QuotaBucketStatus, QuotaStatusQuery, RecalledBucket } from "./quota-status.ts";
import type { QuotaSuspension } from "./quota-suspension.ts";

/** What limits have been counted, and who holds what of them. */
export interface QuotaStore {
  /**
   * Books a proxy's report and grants what fits, all or nothing. Reports of one proxy and grants
   * from one bucket go one after the other, whichever instance they come through. Once more with
   * the same sequence it changes nothing.
   */
  reportQuota(report: QuotaReportInput): Promise<QuotaReportOutcome>;
  /** Buckets with their windows and leases, by name. */
  quotaStatus(query: QuotaStatusQuery): Promise<readonly QuotaBucketStatus[]>;
  /** Buckets that a recall was asked for since a moment, at most `limit`. */
  recalledQuota(query: {
    readonly sinceMs: number;
    readonly limit: number;
  }): Promise<readonly RecalledBucket[]>;
  /** Why nothing is granted; undefined when it is. */
  quotaSuspension(): Promise<QuotaSuspension | undefined>;
  /** Grants again after a suspension. Returns what it was. */
  resumeQuota(): Promise<QuotaSuspension | undefined>;
  /**
   * Closes what a proxy holds that will not come back: budgets are forfeited until their windows
   * end, slots and rates come back. What this start of it reports later is refused. Returns
   * undefined when no such proxy has ever reported.
   */
  releaseQuota(input: QuotaReleaseInput): Promise<QuotaRelease | undefined>;
  /**
   * Forgets windows that ended before a moment, with their leases; at most `limit` windows. Returns
   * how many there were.
   */
  expireQuota(order: { readonly beforeMs: number; readonly limit: number }): Promise<number>;
}
