import type { ReleaseQuotaRequest } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Clock } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";
import type { ProxyRegistry } from "../mesh/hub.ts";
import { parseBucket } from "../mesh/limit.ts";
import { createTimestamp } from "../mesh/record.ts";
import type { ReleasedLease } from "../store/quota-release.ts";
import { WHOLE_RATE } from "../store/quota-report.ts";
import type { QuotaStore } from "../store/quota-store.ts";
import type { Caller } from "./caller.ts";
import { refuse } from "./check-fields.ts";
import type { FaultListener } from "./connect-errors.ts";

export interface QuotaReleaseContext {
  readonly store: QuotaStore;
  readonly registry: ProxyRegistry;
  readonly clock: Clock;
  readonly onFault: FaultListener;
  /** Told who has released what, for the log. */
  readonly onNotice: FaultListener;
}

/**
 * Takes away what a proxy holds that will not come back. Throws INVALID_REQUEST, NOT_FOUND, and
 * FAILED_PRECONDITION while the proxy is connected here and nothing is forced.
 */
export async function releaseQuota(
  { store, registry, clock, onFault, onNotice }: QuotaReleaseContext,
  caller: Caller,
  { proxyId, force }: Pick<ReleaseQuotaRequest, "proxyId" | "force">,
) {
  if (proxyId === "") refuse("proxy_id", "Name the proxy, as `weir quota` shows it.");
  if (!force && registry.list().some((proxy) => proxy.proxyId === proxyId)) {
    throw new MeshError(
      "FAILED_PRECONDITION",
      `Proxy ${proxyId} is connected and uses what it holds: stop it, and it gives everything ` +
        "back. If it must be released all the same, force it: it then admits nothing that is " +
        "limited until it is started again.",
    );
  }
  const atMs = Math.floor(clock.wallMs());
  const released = await store.releaseQuota({ proxyId, atMs, byStoreClock: true });
  if (released === undefined) {
    throw new MeshError("NOT_FOUND", `No proxy ${proxyId} has ever held anything.`);
  }
  const { leases, seenMs, violations } = released;
  for (const violation of violations) {
    onFault(`The quota ledger contradicts itself, which is a fault of Weir: ${violation}`);
  }
  onNotice(
    `${caller.key.name} has released ${leases.length} leases of proxy ${proxyId}` +
      `${force ? ", by force" : ""}: ${summarize(leases)}`,
  );
  return {
    leases: [...leases].sort(byBucket).slice(0, LEASES_MAX).map(describeLease),
    leaseCount: BigInt(leases.length),
    ...(seenMs > 0 ? { reportTime: createTimestamp(seenMs) } : {}),
  };
}

/** What is lost, for the log: the rest is there again. */
function summarize(leases: readonly ReleasedLease[]): string {
  const lost = leases.filter(({ forfeited }) => forfeited > 0);
  if (lost.length === 0) return "nothing is forfeited.";
  const named = lost
    .slice(0, NAMED_MAX)
    .map(({ bucket, forfeited }) => `${forfeited} of ${bucket}`);
  const more = lost.length - named.length;
  return `forfeited are ${named.join(", ")}${more > 0 ? ` and of ${more} more` : ""}.`;
}

function byBucket(a: ReleasedLease, b: ReleasedLease): number {
  return a.bucket < b.bucket ? -1 : a.bucket > b.bucket ? 1 : 0;
}

function describeLease({ bucket, kind, unit, ceiling, forfeited, returned }: ReleasedLease) {
  const { policy = "", subject = "" } = parseBucket(bucket) ?? {};
  const back = kind === "rate" ? Math.floor((returned * ceiling) / WHOLE_RATE) : returned;
  return {
    ...{ bucket, policy, subject, unit },
    forfeited: BigInt(forfeited),
    returned: BigInt(back),
  };
}

const LEASES_MAX = 1000;
const NAMED_MAX = 20;
