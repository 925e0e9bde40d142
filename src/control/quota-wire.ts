import {
  LeaseGrant_Refusal,
  type LeaseReport,
  type QuotaReply,
  type QuotaReport,
} from "../../gen/weir/link/v1/link_service_pb.ts";
import type { ProxyStart } from "../mesh/hub.ts";
import type {
  QuotaGrant,
  QuotaRefusal,
  QuotaReportInput,
  ReportedLease,
} from "../store/quota-report.ts";

/**
 * A report as the store takes it. Throws RangeError where an amount is none: a proxy that counts so
 * is not to be booked.
 */
export function readReport(
  from: ProxyStart,
  report: QuotaReport,
  more: Pick<QuotaReportInput, "atMs" | "byStoreClock" | "terms">,
): QuotaReportInput {
  return {
    proxyId: from.proxyId,
    epoch: from.epoch,
    sequence: readAmount(report.sequence),
    previousEpoch: readAmount(report.previousEpoch),
    leases: report.leases.map(readLease),
    confessions: report.confessions.map(({ epoch, trusted, leases, proxyId }) => ({
      proxyId: proxyId === "" ? from.proxyId : proxyId,
      epoch: readAmount(epoch),
      trusted,
      leases: leases.map(({ bucket, windowStartMs, usedMax }) => ({
        bucket,
        windowStartMs: readMoment(windowStartMs),
        usedMax: Math.max(0, readAmount(usedMax)),
      })),
    })),
    ...more,
  };
}

/** The answer, as it goes over the link. */
export function createReply(
  sequence: bigint,
  grants: readonly QuotaGrant[],
  suspended = false,
): QuotaReply {
  return {
    $typeName: "weir.link.v1.QuotaReply",
    sequence,
    unavailable: "",
    superseded: false,
    suspended,
    leases: grants.map((grant) => ({
      $typeName: "weir.link.v1.LeaseGrant",
      bucket: grant.bucket,
      windowStartMs: BigInt(grant.windowStartMs),
      windowEndsInMs: BigInt(grant.windowEndsInMs),
      granted: BigInt(grant.granted),
      confirmed: BigInt(grant.confirmed),
      returned: BigInt(grant.returned),
      levelGranted: BigInt(grant.levelGranted),
      levelReturned: BigInt(grant.levelReturned),
      ceiling: BigInt(grant.ceiling),
      remaining: BigInt(grant.remaining),
      spent: BigInt(grant.spent),
      refusal: refusals[grant.refusal],
      recalled: grant.recalled,
      retryAfterMs: BigInt(Math.ceil(grant.retryAfterMs)),
    })),
  };
}

/** The answer that there is none: the proxy asks again, unless this start of it is over. */
export function createUnavailable(
  sequence: bigint,
  reason: string,
  superseded = false,
): QuotaReply {
  const $typeName = "weir.link.v1.QuotaReply";
  return { $typeName, sequence, leases: [], unavailable: reason, superseded, suspended: false };
}

const refusals: Readonly<Record<QuotaRefusal, LeaseGrant_Refusal>> = {
  none: LeaseGrant_Refusal.UNSPECIFIED,
  exhausted: LeaseGrant_Refusal.EXHAUSTED,
  recalling: LeaseGrant_Refusal.RECALLING,
  gone: LeaseGrant_Refusal.GONE,
  suspended: LeaseGrant_Refusal.SUSPENDED,
  full: LeaseGrant_Refusal.FULL,
};

function readLease(lease: LeaseReport): ReportedLease {
  return {
    bucket: lease.bucket,
    windowStartMs: readMoment(lease.windowStartMs),
    granted: Math.max(0, readAmount(lease.granted)),
    confirmed: Math.max(0, readAmount(lease.confirmed)),
    returned: Math.max(0, readAmount(lease.returned)),
    outstanding: Math.max(0, readAmount(lease.outstanding)),
    want: Math.max(0, readAmount(lease.want)),
    need: Math.max(0, readAmount(lease.need)),
    levelReturned: Math.max(0, readAmount(lease.levelReturned)),
  };
}

/**
 * The start of a window, or -1. No calendar has windows far off: to look for them would not end.
 */
function readMoment(moment: bigint): number {
  const ms = readAmount(moment);
  if (ms < -1 || ms > LAST_MOMENT_MS) throw new RangeError(`No window begins at ${moment}.`);
  return ms;
}

/** The end of the year 9999. */
const LAST_MOMENT_MS = 253_402_300_799_999;

function readAmount(amount: bigint): number {
  const number = Number(amount);
  if (!Number.isSafeInteger(number)) throw new RangeError(`${amount} is beyond 2^53.`);
  return number;
}
