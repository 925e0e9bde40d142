import type { Cost, Price, Usage } from "../../gen/weir/v1/usage_pb.ts";

/**
 * A usage with nothing in it, as a plain literal: protobuf-es `create()` costs a microsecond and
 * more.
 */
export function createUsage(counts: Partial<Omit<Usage, "$typeName" | "$unknown">> = {}): Usage {
  return {
    $typeName: "weir.v1.Usage",
    inputTokens: 0,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    cacheWrite1hTokens: 0,
    inputAudioTokens: 0,
    outputTokens: 0,
    reasoningTokens: 0,
    outputAudioTokens: 0,
    vendorToolCalls: {},
    estimated: false,
    ...counts,
  };
}

const inputCounted = new WeakSet<Usage>();

/** The vendor has counted the prompt of this usage; its output is an estimate. */
export function noteInputCounted(usage: Usage): void {
  inputCounted.add(usage);
}

/** Whether the vendor has counted the prompt. Of a copy of an estimate that is not known. */
export function isInputCounted(usage: Usage): boolean {
  return !usage.estimated || inputCounted.has(usage);
}

/** All tokens of the prompt, whichever way they came. */
export function sumInputTokens(usage: Usage): number {
  return (
    usage.inputTokens +
    usage.cacheReadTokens +
    usage.cacheWriteTokens +
    usage.cacheWrite1hTokens +
    usage.inputAudioTokens
  );
}

/** All tokens of the answer, reasoning included. */
export function sumOutputTokens(usage: Usage): number {
  return usage.outputTokens + usage.reasoningTokens + usage.outputAudioTokens;
}

/**
 * What a usage costs, in whole nano-USD, each side rounded up: Σ tokens × price, the price in
 * nano-USD for a million tokens. Where a tier applies, it prices the whole request. Integer
 * arithmetic throughout.
 */
export function computeCost(usage: Usage, price: Price | undefined): Cost {
  if (price === undefined) return createCost(0n, 0n, false);
  const p = selectTier(price, sumInputTokens(usage));
  const cacheWrite = p.cacheWriteNanoUsdPerMillion ?? p.inputNanoUsdPerMillion;
  const input =
    times(usage.inputTokens, p.inputNanoUsdPerMillion) +
    times(usage.cacheReadTokens, p.cacheReadNanoUsdPerMillion ?? p.inputNanoUsdPerMillion) +
    times(usage.cacheWriteTokens, cacheWrite) +
    times(usage.cacheWrite1hTokens, p.cacheWrite1hNanoUsdPerMillion ?? cacheWrite) +
    times(usage.inputAudioTokens, p.inputAudioNanoUsdPerMillion ?? p.inputNanoUsdPerMillion);
  const output =
    times(usage.outputTokens, p.outputNanoUsdPerMillion) +
    times(usage.reasoningTokens, p.reasoningNanoUsdPerMillion ?? p.outputNanoUsdPerMillion) +
    times(usage.outputAudioTokens, p.outputAudioNanoUsdPerMillion ?? p.outputNanoUsdPerMillion);
  return createCost(perMillion(input) + p.requestNanoUsd, perMillion(output), true);
}

function createCost(input: bigint, output: bigint, known: boolean): Cost {
  return {
    $typeName: "weir.v1.Cost",
    costNanoUsd: input + output,
    inputNanoUsd: input,
    outputNanoUsd: output,
    known,
  };
}

function selectTier(price: Price, inputTokens: number): Price {
  let chosen = price;
  for (const tier of price.tiers) {
    if (inputTokens > tier.aboveInputTokens && tier.price !== undefined) chosen = tier.price;
  }
  return chosen;
}

function times(tokens: number, nanoUsdPerMillion: bigint): bigint {
  return tokens === 0 ? 0n : BigInt(tokens) * nanoUsdPerMillion;
}

function perMillion(value: bigint): bigint {
  return (value + 999_999n) / 1_000_000n;
}
