import { create } from "@bufbuild/protobuf";
import {
  type GetQuotaStatusResponse_Bucket,
  GetQuotaStatusResponse_BucketSchema,
  type GetQuotaStatusResponse_Lease,
  GetQuotaStatusResponse_LeaseSchema,
} from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { Dimension } from "../../gen/weir/admin/v1/policy_pb.ts";
import type { Clock } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";
import { type Limit, parseBucket } from "../mesh/limit.ts";
import { createTimestamp } from "../mesh/record.ts";
import { findWindow, type TimeWindow } from "../mesh/window.ts";
import { refillLevel } from "../store/quota-rate-grant.ts";
import { MICRO, WHOLE_RATE } from "../store/quota-report.ts";
import type { QuotaBucketStatus } from "../store/quota-status.ts";
import type { QuotaStore } from "../store/quota-store.ts";
import type { Caller } from "./caller.ts";
import { refuse } from "./check-fields.ts";
import { type Body, keyKind, policyKind, teamKind, userKind } from "./kinds.ts";
import { mayRead, readsEverything } from "./permissions.ts";
import { createLimitFinder } from "./quota-limits.ts";
import type { World, WorldKeeper } from "./world.ts";

export interface QuotaStatusContext {
  readonly store: QuotaStore;
  readonly keeper: WorldKeeper;
  readonly clock: Clock;
}

/**
 * The buckets of a policy, a team, a user or a key. Who does not read everything sees those of what
 * it may see, and not which proxies hold them. Throws INVALID_REQUEST, NOT_FOUND.
 */
export async function getQuotaStatus(
  { store, keeper, clock }: QuotaStatusContext,
  caller: Caller,
  { name }: { readonly name: string },
) {
  if (name === "") refuse("name", "Name a policy, a team, a user or a key.");
  const world = keeper.current;
  if (!readsEverything(caller) && !isVisible(world, caller, name)) throw createNotFound(name);
  const limits = createLimitFinder((policy) => world.policies.get(policy));
  const atMs = clock.wallMs();
  const [found, suspension] = await Promise.all([
    store.quotaStatus({
      by: /(^|\/)policies\/[^/]*$/.test(name) ? "policy" : "subject",
      name,
      sinceMs: Math.floor(atMs) - LOOK_BACK_MS,
      limit: BUCKETS_MAX + 1,
    }),
    store.quotaSuspension(),
  ]);
  if (found.length === 0 && !exists(world, name)) {
    throw createNotFound(name);
  }
  const buckets = found.slice(0, BUCKETS_MAX).map((status) => {
    const { policy = "", form = "", subject = "" } = parseBucket(status.bucket.bucket) ?? {};
    const known = limits.find(policy);
    const limit = known?.form === form ? known : undefined;
    const bucket = describeBucket(status, { policy, subject, limit, atMs });
    if (!readsEverything(caller)) bucket.leases = [];
    return bucket;
  });
  return {
    buckets,
    truncated: found.length > BUCKETS_MAX,
    suspendedReason: suspension?.reason ?? "",
    ...(suspension === undefined ? {} : { suspendTime: createTimestamp(suspension.sinceMs) }),
  };
}

function isVisible(world: World, caller: Caller, name: string): boolean {
  return [policyKind, teamKind, userKind, keyKind].some(
    (kind) => kind.pattern.test(name) && mayRead<Body>(world, caller, kind, name),
  );
}

function createNotFound(name: string): MeshError {
  return new MeshError("NOT_FOUND", `${name} is no policy, team, user or key that you may see.`);
}

interface About {
  readonly policy: string;
  readonly subject: string;
  /** Undefined where it is gone. */
  readonly limit: Limit | undefined;
  readonly atMs: number;
}

function describeBucket(
  status: QuotaBucketStatus,
  { policy, subject, limit, atMs }: About,
): GetQuotaStatusResponse_Bucket {
  const { bucket } = status;
  const window = findCurrent(status, limit, atMs);
  const counted = status.windows.filter(({ startMs }) => startMs >= window.horizonMs);
  const sum = (read: (each: (typeof counted)[number]) => number) =>
    counted.reduce((total, each) => total + read(each), 0);
  const held = sum(({ leased }) => leased);
  const rate = bucket.kind === "rate";
  const ceiling = limit?.amount ?? bucket.ceiling;
  const inUnit = (amount: number) => (rate ? Math.floor((amount * ceiling) / WHOLE_RATE) : amount);
  const spent = sum((each) => each.spent);
  const forfeited = sum((each) => each.forfeited);
  const left = ceiling - spent - forfeited - held;
  const remaining = rate ? readRateLevel(status, limit, { atMs, held }) : left;
  return create(GetQuotaStatusResponse_BucketSchema, {
    bucket: bucket.bucket,
    policy,
    subject,
    dimension: dimensions[bucket.unit] ?? Dimension.UNSPECIFIED,
    unit: bucket.unit,
    ceiling: BigInt(ceiling),
    spent: BigInt(spent),
    leased: BigInt(inUnit(held)),
    forfeited: BigInt(forfeited),
    overhang: BigInt(rate ? 0 : Math.max(0, -left)),
    remaining: BigInt(Math.max(0, remaining)),
    gone: limit === undefined,
    leases: status.leases
      .filter(({ startMs }) => startMs >= window.horizonMs)
      .map((lease) => describeLease(lease, inUnit)),
    ...(Number.isFinite(window.endMs)
      ? {
          windowStartTime: createTimestamp(window.startMs),
          resetTime: createTimestamp(window.endMs),
        }
      : {}),
  });
}

function describeLease(
  lease: QuotaBucketStatus["leases"][number],
  inUnit: (amount: number) => number,
): GetQuotaStatusResponse_Lease {
  return create(GetQuotaStatusResponse_LeaseSchema, {
    proxyId: lease.proxyId,
    epoch: BigInt(lease.epoch),
    held: BigInt(inUnit(lease.granted - lease.confirmed - lease.returned)),
    outstanding: BigInt(lease.outstanding),
    frozen: lease.frozen,
    reportTime: createTimestamp(lease.reportedMs),
  });
}

/** The window that is now; of a limit that is gone, the last one that was counted in. */
function findCurrent(
  { bucket, windows }: QuotaBucketStatus,
  limit: Limit | undefined,
  atMs: number,
): TimeWindow {
  if (limit !== undefined) {
    const nowMs = Math.max(atMs, bucket.newestStartMs);
    return findWindow(limit.window ?? { kind: "lifetime" }, nowMs);
  }
  const startMs = bucket.newestStartMs;
  const last = windows.find((window) => window.startMs === startMs);
  return { startMs, endMs: last?.endMs ?? Number.POSITIVE_INFINITY, horizonMs: startMs };
}

/** What might be asked at once of the part that nobody holds, in whole units. */
function readRateLevel(
  { bucket }: QuotaBucketStatus,
  limit: Limit | undefined,
  { atMs, held }: { readonly atMs: number; readonly held: number },
): number {
  if (limit === undefined) return 0;
  if (bucket.level < 0) return limit.burst;
  const pool = { level: bucket.level, share: Math.max(0, WHOLE_RATE - held) };
  return Math.floor(refillLevel(limit, pool, atMs - bucket.levelAtMs) / MICRO);
}

function exists(world: World, name: string): boolean {
  return [world.policies, world.teams, world.users, world.keys].some((names) => names.has(name));
}

const dimensions: Readonly<Record<string, Dimension>> = {
  nano_usd: Dimension.NANO_USD,
  tokens: Dimension.TOKENS,
  input_tokens: Dimension.INPUT_TOKENS,
  output_tokens: Dimension.OUTPUT_TOKENS,
  requests: Dimension.REQUESTS,
};

const BUCKETS_MAX = 1000;
/** A rolling window reaches back at most a year. */
const LOOK_BACK_MS = 368 * 86_400_000;
