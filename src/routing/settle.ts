import type { Cost, Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { Trail } from "../mesh/call.ts";
import type { Target } from "../mesh/target.ts";
import { computeCost, createUsage } from "../mesh/usage.ts";

/**
 * Text of a byte-level tokenizer has about so many bytes a token: only for estimates, never for
 * bounds.
 */
const BYTES_PER_TOKEN = 4;

/**
 * What an attempt used when nobody counted: the prompt's bytes, and nothing of an answer that
 * nobody saw.
 */
export function estimateInput(bytes: number): Usage {
  return createUsage({ inputTokens: Math.ceil(bytes / BYTES_PER_TOKEN), estimated: true });
}

/**
 * Adds what an attempt used, and what that costs at its target, to what the call has used so far.
 * Returns what it costs.
 */
export function settle(trail: Trail, target: Target, usage: Usage): Cost {
  trail.charged = target;
  const cost = computeCost(usage, target.price);
  trail.usage = trail.usage === undefined ? usage : addUsage(trail.usage, usage);
  trail.cost = trail.cost === undefined ? cost : addCost(trail.cost, cost);
  return cost;
}

function addUsage(a: Usage, b: Usage): Usage {
  const vendorToolCalls = { ...a.vendorToolCalls };
  for (const [tool, count] of Object.entries(b.vendorToolCalls)) {
    vendorToolCalls[tool] = addCounts(vendorToolCalls[tool] ?? 0, count);
  }
  const sum = createUsage({
    inputTokens: addCounts(a.inputTokens, b.inputTokens),
    cacheReadTokens: addCounts(a.cacheReadTokens, b.cacheReadTokens),
    cacheWriteTokens: addCounts(a.cacheWriteTokens, b.cacheWriteTokens),
    cacheWrite1hTokens: addCounts(a.cacheWrite1hTokens, b.cacheWrite1hTokens),
    inputAudioTokens: addCounts(a.inputAudioTokens, b.inputAudioTokens),
    outputTokens: addCounts(a.outputTokens, b.outputTokens),
    reasoningTokens: addCounts(a.reasoningTokens, b.reasoningTokens),
    outputAudioTokens: addCounts(a.outputAudioTokens, b.outputAudioTokens),
    vendorToolCalls,
    estimated: a.estimated || b.estimated,
  });
  const upstream = (a.upstreamCostNanoUsd ?? 0n) + (b.upstreamCostNanoUsd ?? 0n);
  if (a.upstreamCostNanoUsd !== undefined || b.upstreamCostNanoUsd !== undefined) {
    sum.upstreamCostNanoUsd = upstream;
  }
  return sum;
}

/** A count is an int32 in the ledger: past its end it would come out negative. */
const COUNT_MAX = 2_147_483_647;

function addCounts(a: number, b: number): number {
  return Math.min(a + b, COUNT_MAX);
}

function addCost(a: Cost, b: Cost): Cost {
  return {
    $typeName: "weir.v1.Cost",
    costNanoUsd: a.costNanoUsd + b.costNanoUsd,
    inputNanoUsd: a.inputNanoUsd + b.inputNanoUsd,
    outputNanoUsd: a.outputNanoUsd + b.outputNanoUsd,
    known: a.known && b.known,
  };
}
