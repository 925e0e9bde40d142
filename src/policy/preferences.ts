import type { ExcludedTarget } from "../../gen/weir/admin/v1/record_pb.ts";
import { type RoutingPreferences, RoutingPreferences_Sort } from "../../gen/weir/v1/chat_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Leg } from "../mesh/grant.ts";
import type { Target } from "../mesh/target.ts";

/**
 * Narrows the legs of a route by a caller's wishes, which never widen what policy allows. Providers
 * in `order` go before all others. Throws UNIMPLEMENTED for wishes that no strategy follows yet.
 */
export function narrowLegs(legs: readonly Leg[], preferences: RoutingPreferences): Leg[] {
  assertFollowed(preferences);
  return legs.map((leg) => {
    const excluded = leg.excluded.slice();
    const targets: Target[] = [];
    for (const target of leg.targets) {
      const reason = objects(preferences, target);
      if (reason === undefined) targets.push(prefer(preferences, target));
      else excluded.push(createExcluded(target, reason));
    }
    return { ...leg, targets, excluded };
  });
}

const notFollowed: ReadonlyArray<readonly [string, (wishes: RoutingPreferences) => boolean]> = [
  ["sort", ({ sort }) => sort !== RoutingPreferences_Sort.UNSPECIFIED],
  ["require_parameters", ({ requireParameters }) => requireParameters],
  ["quantizations", ({ quantizations }) => quantizations.length > 0],
  ["max_price", (wishes) => wishes.maxInputPriceNanoUsdPerMillion !== undefined],
  ["max_price", (wishes) => wishes.maxOutputPriceNanoUsdPerMillion !== undefined],
  ["preferred_min_throughput", (wishes) => wishes.preferredMinTokensPerSecond !== undefined],
  ["preferred_max_latency", ({ preferredMaxLatency }) => preferredMaxLatency !== undefined],
];

function assertFollowed(preferences: RoutingPreferences): void {
  for (const [name, isWished] of notFollowed) {
    if (!isWished(preferences)) continue;
    throw new MeshError(
      "UNIMPLEMENTED",
      `The routing preference ${name} is not there yet. Leave it out.`,
      { field: name },
    );
  }
}

function objects(preferences: RoutingPreferences, { provider }: Target): string | undefined {
  const { only, ignore, zeroDataRetention, allowTraining } = preferences;
  if (only.length > 0 && !names(only, provider.name)) return "the request asks for others only";
  if (names(ignore, provider.name)) return "the request ignores this provider";
  if (zeroDataRetention && !provider.resource.zeroDataRetention) {
    return "the request wants a provider that keeps no data";
  }
  if (allowTraining === false && provider.resource.trainsOnData) {
    return "the request wants a provider that does not train on it";
  }
  return undefined;
}

function prefer({ order }: RoutingPreferences, target: Target): Target {
  const place = order.findIndex((name) => names([name], target.provider.name));
  return place < 0 ? target : { ...target, priority: PREFERRED + place };
}

/** Below every priority that a resource may have. */
const PREFERRED = -(2 ** 31) - 1_000_000;

/** Callers may write a provider with or without `providers/`. */
function names(list: readonly string[], provider: string): boolean {
  return list.some((name) => name === provider || `providers/${name}` === provider);
}

function createExcluded(target: Target, reason: string): ExcludedTarget {
  return {
    $typeName: "weir.admin.v1.ExcludedTarget",
    provider: target.provider.name,
    upstreamModel: target.upstreamModel,
    reason,
  };
}
