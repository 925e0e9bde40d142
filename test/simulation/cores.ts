import { create } from "@bufbuild/protobuf";
import type { Policy } from "../../gen/weir/admin/v1/policy_pb.ts";
import {
  type LeaseGrant,
  LeaseGrantSchema,
  type QuotaReply,
  QuotaReplySchema,
  type QuotaReport,
} from "../../gen/weir/link/v1/link_service_pb.ts";
import type { Clock } from "../../src/mesh/clock.ts";
import { compileLimit } from "../../src/mesh/compile-limit.ts";
import { parseBucket } from "../../src/mesh/limit.ts";
import { createQuota } from "../../src/quota/quota.ts";
import type { QuotaGrant, QuotaReportInput, QuotaTerms } from "../../src/store/quota-report.ts";
import { SqlStore } from "../../src/store/sql-store.ts";
import type { ProxyStart, Recall } from "../../src/mesh/hub.ts";
import type { Quota, QuotaLink, Watermarks } from "../../src/mesh/quota.ts";
import type { SqlBackend } from "../../src/store/operations.ts";
import type { Chance } from "./chance.ts";

/** The real code of a proxy, as the simulation drives it. */
export interface ProxyCore {
  readonly quota: Quota;
  readonly link: QuotaLink;
  /** What does not add up, in a sentence. */
  invariant(): string | undefined;
  /** How many reservations are open. */
  open(): number;
  /** Gives everything back; resolves once the ledger knows. */
  close(): Promise<void>;
}

export interface ProxyCoreParts {
  readonly name: string;
  readonly epoch: number;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly watermarks: Watermarks;
}

export function createProxyCore({ clock, watermarks }: ProxyCoreParts): ProxyCore {
  const room = createQuota({ clock, watermarks });
  const { counters } = room;
  return {
    quota: room,
    link: room,
    invariant: () => {
      const unsound = room.invariant();
      if (unsound > 0) return `${unsound} sums do not come out`;
      if (counters.unsound > 0) return `${counters.unsound} sums did not come out`;
      return counters.overrun > 0 ? `${counters.overrun} limits were overrun` : undefined;
    },
    open: () => counters.reserved - counters.settled - counters.released,
    close: () => room.close(),
  };
}

/** The real code of a control, as the simulation drives it. */
export interface ControlCore {
  reportQuota(from: ProxyStart, report: QuotaReport): Promise<QuotaReply>;
  onRecall(listener: (recall: Recall) => void): () => void;
  close(): void;
}

export interface ControlCoreParts {
  readonly name: string;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly backend: SqlBackend;
  /** As this control knows them. */
  readonly policies: ReadonlyMap<string, Policy>;
  readonly onFault: (text: string) => void;
}

export function createControlCore(parts: ControlCoreParts): ControlCore {
  const { backend, clock, policies, onFault } = parts;
  const store = new SqlStore({ backend, migrations: [], clock });
  const listeners = new Set<(recall: Recall) => void>();
  return {
    reportQuota: async (from, report) => {
      const sequence = report.sequence;
      try {
        const outcome = await store.reportQuota(decode(from, report, clock.wallMs(), policies));
        if (outcome.outcome === "refused") {
          return create(QuotaReplySchema, { sequence, unavailable: outcome.reason });
        }
        for (const violation of outcome.violations) onFault(`VIOLATION ${violation}`);
        if (outcome.suspended !== undefined) onFault(`SUSPENDED ${outcome.suspended}`);
        if (outcome.recalls.length > 0) {
          for (const listener of listeners) {
            listener({ buckets: outcome.recalls, except: from.proxyId });
          }
        }
        return create(QuotaReplySchema, { sequence, leases: outcome.grants.map(encode) });
      } catch (error) {
        return create(QuotaReplySchema, { sequence, unavailable: String(error) });
      }
    },
    onRecall: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => listeners.clear(),
  };
}

function decode(
  { proxyId, epoch }: ProxyStart,
  report: QuotaReport,
  atMs: number,
  policies: ReadonlyMap<string, Policy>,
): QuotaReportInput {
  const terms = new Map<string, QuotaTerms>();
  const names = [
    ...report.leases.map((lease) => lease.bucket),
    ...report.confessions.flatMap((each) => each.leases.map((lease) => lease.bucket)),
  ];
  for (const bucket of names) {
    const name = parseBucket(bucket);
    const policy = policies.get(name?.policy ?? "");
    const limit = policy && compileLimit(policy);
    if (limit === undefined || limit.form !== name?.form) continue;
    const { kind, amount, periodMs, burst, window } = limit;
    terms.set(bucket, { kind, amount, periodMs, burst, window });
  }
  return {
    proxyId,
    epoch,
    sequence: Number(report.sequence),
    previousEpoch: Number(report.previousEpoch),
    atMs,
    terms,
    leases: report.leases.map((lease) => ({
      bucket: lease.bucket,
      windowStartMs: Number(lease.windowStartMs),
      granted: Number(lease.granted),
      confirmed: Number(lease.confirmed),
      returned: Number(lease.returned),
      outstanding: Number(lease.outstanding),
      want: Number(lease.want),
      need: Number(lease.need),
      levelReturned: Number(lease.levelReturned),
    })),
    confessions: report.confessions.map((each) => ({
      epoch: Number(each.epoch),
      trusted: each.trusted,
      leases: each.leases.map((lease) => ({
        bucket: lease.bucket,
        windowStartMs: Number(lease.windowStartMs),
        usedMax: Number(lease.usedMax),
      })),
    })),
  };
}

const refusals = { none: 0, exhausted: 1, recalling: 2, gone: 3, suspended: 4 } as const;

function encode(grant: QuotaGrant): LeaseGrant {
  return create(LeaseGrantSchema, {
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
    refusal: refusals[grant.refusal],
    recalled: grant.recalled,
    retryAfterMs: BigInt(grant.retryAfterMs),
  });
}
