import type { Price } from "../../gen/weir/v1/usage_pb.ts";

/** The dearest that each side of a price can come to, in nano-USD for a million tokens. */
export interface PriceBound {
  readonly input: number;
  readonly output: number;
  /** For each request, in nano-USD. */
  readonly request: number;
}

/**
 * The dearest that a request with at most so many input tokens can come to: over every kind of
 * token and every tier that it may reach. Kept with the price, so that nothing is converted twice.
 */
export function boundPrice(price: Price, inputTokensMax: number): PriceBound {
  let steps = known.get(price);
  if (steps === undefined) {
    steps = listSteps(price);
    known.set(price, steps);
  }
  let reached = steps[0] ?? FREE;
  for (let i = 1; i < steps.length; i++) {
    const step = steps[i];
    if (step !== undefined && inputTokensMax > step.above) reached = step;
  }
  return reached;
}

/** What tokens cost at most, in nano-USD. Rounded up, and one beyond for the arithmetic's sake. */
export function boundCost(bound: PriceBound, inputTokens: number, outputTokens: number): number {
  const cost =
    boundSide(inputTokens, bound.input) + boundSide(outputTokens, bound.output) + bound.request;
  return cost < Number.MAX_SAFE_INTEGER ? cost : Number.MAX_SAFE_INTEGER;
}

interface Step extends PriceBound {
  /** It holds for more input tokens than this. */
  readonly above: number;
}

const known = new WeakMap<Price, readonly Step[]>();

const FREE: Step = { above: 0, input: 0, output: 0, request: 0 };

/** The price and its tiers, in rising order; each is at least as dear as those before it. */
function listSteps(price: Price): Step[] {
  const tiers = price.tiers
    .flatMap(({ aboveInputTokens, price: tier }) =>
      tier === undefined ? [] : [{ above: aboveInputTokens, price: tier }],
    )
    .sort((a, b) => a.above - b.above);
  const steps: Step[] = [];
  let dearest = FREE;
  for (const each of [{ above: 0, price }, ...tiers]) {
    dearest = {
      above: each.above,
      input: Math.max(dearest.input, dearestInput(each.price)),
      output: Math.max(dearest.output, dearestOutput(each.price)),
      request: Math.max(dearest.request, Number(each.price.requestNanoUsd)),
    };
    steps.push(dearest);
  }
  return steps;
}

function dearestInput(price: Price): number {
  return Math.max(
    Number(price.inputNanoUsdPerMillion),
    Number(price.cacheReadNanoUsdPerMillion ?? 0n),
    Number(price.cacheWriteNanoUsdPerMillion ?? 0n),
    Number(price.cacheWrite1hNanoUsdPerMillion ?? 0n),
    Number(price.inputAudioNanoUsdPerMillion ?? 0n),
  );
}

function dearestOutput(price: Price): number {
  return Math.max(
    Number(price.outputNanoUsdPerMillion),
    Number(price.reasoningNanoUsdPerMillion ?? 0n),
    Number(price.outputAudioNanoUsdPerMillion ?? 0n),
  );
}

function boundSide(tokens: number, nanoUsdPerMillion: number): number {
  if (tokens === 0 || nanoUsdPerMillion === 0) return 0;
  return Math.ceil((tokens * nanoUsdPerMillion) / 1_000_000) + 1;
}
