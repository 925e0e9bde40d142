/** What has happened, in plain numbers: for metrics. All rise from 0. */
export interface QuotaCounters {
  /** Attempts that took what they might cost. */
  reserved: number;
  /** Of them, those that were charged, and those that got everything back. */
  settled: number;
  released: number;
  /** Limits of which an attempt used more than it had taken; must stay 0. */
  overrun: number;
  /** By how much, in the limits' units. */
  overrunNanoUsd: number;
  overrunTokens: number;
  /** Crashed starts that were confessed. */
  confessed: number;
  /** Leases of these of which something may be forfeited. */
  forfeited: number;
  /** Reservations that nobody ended. */
  leaked: number;
  /** Attempts admitted although nobody could prove that anything was left. */
  unproven: number;
  /** Attempts whose output limit was lowered. */
  clamped: number;
  /** Answers that ended early because no further piece was to be had. */
  cut: number;
  /** Attempts that waited for the ledger. */
  waited: number;
  /** Times that an audit limit would have refused. */
  auditDenied: number;
  /** Refusals by their reason. */
  readonly denied: Record<string, number>;
  /** Reports sent, again or for the first time. */
  reports: number;
  /** Writes of the watermark file. */
  watermarks: number;
  /** Times that the sums did not come out; must stay 0. */
  unsound: number;
}

export function createCounters(): QuotaCounters {
  return {
    reserved: 0,
    settled: 0,
    released: 0,
    overrun: 0,
    overrunNanoUsd: 0,
    overrunTokens: 0,
    confessed: 0,
    forfeited: 0,
    leaked: 0,
    unproven: 0,
    clamped: 0,
    cut: 0,
    waited: 0,
    auditDenied: 0,
    denied: {},
    reports: 0,
    watermarks: 0,
    unsound: 0,
  };
}
