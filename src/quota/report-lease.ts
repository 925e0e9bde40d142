import type { LeaseReport, QuotaConfession } from "../../gen/weir/link/v1/link_service_pb.ts";
import type { LeftEpoch } from "../mesh/quota.ts";
import type { Account } from "./account.ts";
import { holding, sizeLease } from "./lease-size.ts";
import type { Pot } from "./pot.ts";
import { needOf } from "./refill.ts";

/** One lease of a report, as it was sent. */
export interface SentLease {
  readonly pot: Pot;
  readonly account: Account;
  readonly lease: LeaseReport;
  /** What was asked for those who wait. */
  readonly need: number;
  /** True when a refusal of that need is final for the first who waits. */
  readonly alone: boolean;
}

/** What a report says of a bucket: each lease of which the ledger does not know all, and wishes. */
export function reportPot(pot: Pot, nowMs: number): SentLease[] {
  const sent: SentLease[] = [];
  for (const account of pot.draining) {
    if (account.dirty) sent.push({ pot, account, lease: describe(account), need: 0, alone: true });
  }
  const { current } = pot;
  const { need, alone } = needOf(pot, nowMs);
  const want = wantOf(pot, need, nowMs);
  if (current.windowStartMs < 0) {
    if (need > 0 || want > 0 || pot.curious) {
      sent.push({ pot, account: current, lease: ask(pot, want, need), need, alone });
    }
  } else if (current.dirty || need > 0 || want > 0 || pot.curious) {
    const lease = describe(current);
    lease.want = whole(want);
    lease.need = whole(need);
    sent.push({ pot, account: current, lease, need, alone });
  }
  pot.curious = false;
  return sent;
}

/** A confession, as a report says it. */
export function confess(left: LeftEpoch): QuotaConfession {
  return {
    $typeName: "weir.link.v1.QuotaConfession",
    proxyId: left.proxyId ?? "",
    epoch: BigInt(left.epoch),
    trusted: left.trusted,
    leases: left.marks.map(({ bucket, windowStartMs, usedMax }) => ({
      $typeName: "weir.link.v1.QuotaConfession.Lease",
      bucket,
      windowStartMs: BigInt(windowStartMs),
      usedMax: whole(usedMax),
    })),
  };
}

/** Millionths of a rate that come with a need: with how much level is for the ledger to say. */
function wantOf(pot: Pot, need: number, nowMs: number): number {
  const { current } = pot;
  const recalled = nowMs < current.recalledUntilMs;
  const wish = recalled ? 0 : Math.max(0, sizeLease(pot) - Math.max(0, holding(pot)));
  return current.rate === undefined ? Math.max(wish, need) : wish;
}

/** Its totals are on their way. */
function describe(account: Account): LeaseReport {
  account.dirty = false;
  return {
    $typeName: "weir.link.v1.LeaseReport",
    bucket: account.pot.bound.bucket,
    windowStartMs: BigInt(account.windowStartMs),
    granted: whole(account.granted),
    confirmed: whole(account.confirmed),
    returned: whole(account.returned),
    outstanding: whole(account.outstanding),
    want: 0n,
    need: 0n,
    levelReturned: whole(account.levelReturned),
  };
}

function ask(pot: Pot, want: number, need: number): LeaseReport {
  return {
    $typeName: "weir.link.v1.LeaseReport",
    bucket: pot.bound.bucket,
    windowStartMs: -1n,
    granted: 0n,
    confirmed: 0n,
    returned: 0n,
    outstanding: 0n,
    want: whole(want),
    need: whole(need),
    levelReturned: 0n,
  };
}

function whole(amount: number): bigint {
  return BigInt(Math.min(Math.ceil(amount), Number.MAX_SAFE_INTEGER));
}
