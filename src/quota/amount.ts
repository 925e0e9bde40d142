import type { Cost, Price, Usage } from "../../gen/weir/v1/usage_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Limit, LimitUnit } from "../mesh/limit.ts";
import type { Target } from "../mesh/target.ts";
import { computeCost, sumInputTokens, sumOutputTokens } from "../mesh/usage.ts";
import type { AskBound } from "./bound.ts";
import { boundCost, boundPrice } from "./price-bound.ts";

/**
 * What an attempt takes from a limit at most. Throws PRICE_UNKNOWN when money is counted and
 * nothing tells what the target costs; undefined instead for a limit that refuses nobody.
 */
export function boundAmount(
  limit: Limit,
  target: Target,
  bound: AskBound,
  output: number,
): number | undefined {
  const unit = limit.unit;
  if (unit === "nano_usd") {
    const price = priceFor(limit, target);
    if (price !== undefined) {
      return boundCost(boundPrice(price, bound.input), bound.input, output * bound.choices);
    }
    if (limit.audit) return undefined;
    throw priceUnknown(limit, target);
  }
  if (unit === "tokens") return whole(bound.input + output * bound.choices);
  if (unit === "input_tokens") return bound.input;
  return unit === "output_tokens" ? whole(output * bound.choices) : 1;
}

/** As much as can be counted. */
function whole(tokens: number): number {
  return Math.min(tokens, Number.MAX_SAFE_INTEGER);
}

/** True when a shorter answer takes less of it. */
export function countsOutput(unit: LimitUnit): boolean {
  return unit === "nano_usd" || unit === "tokens" || unit === "output_tokens";
}

/** What a limit counts of what was used; undefined when nobody has counted that. */
export function actualAmount(
  limit: Limit,
  target: Target,
  usage: Usage,
  cost: Cost | undefined,
): number | undefined {
  const unit = limit.unit;
  if (unit === "nano_usd") {
    if (cost?.known === true) return Number(cost.costNanoUsd);
    const price = priceFor(limit, target);
    return price === undefined ? undefined : Number(computeCost(usage, price).costNanoUsd);
  }
  if (unit === "tokens") return sumInputTokens(usage) + sumOutputTokens(usage);
  if (unit === "input_tokens") return sumInputTokens(usage);
  return unit === "output_tokens" ? sumOutputTokens(usage) : undefined;
}

function priceFor(limit: Limit, target: Target): Price | undefined {
  return target.price ?? limit.defaultPrice;
}

function priceUnknown(limit: Limit, target: Target): MeshError {
  return new MeshError(
    "PRICE_UNKNOWN",
    `No price is known for ${target.model} at ${target.provider.name}, and ${limit.policy} counts ` +
      "money. Ask whoever runs Weir to give the model a price, or the policy a default price.",
    { metadata: { policy: limit.policy, dimension: "nano_usd" } },
  );
}
