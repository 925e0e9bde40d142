import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PriceSchema } from "../../gen/weir/v1/usage_pb.ts";
import { createTestTarget } from "../../test/support/targets.ts";
import { computeCost, createUsage } from "../mesh/usage.ts";
import { boundCost, boundPrice } from "./price-bound.ts";

describe("the price bound", () => {
  const nano = fc.bigInt({ min: 0n, max: 600_000_000_000n });
  const fields = {
    inputNanoUsdPerMillion: nano,
    outputNanoUsdPerMillion: nano,
    cacheReadNanoUsdPerMillion: nano,
    cacheWriteNanoUsdPerMillion: nano,
    cacheWrite1hNanoUsdPerMillion: nano,
    inputAudioNanoUsdPerMillion: nano,
    outputAudioNanoUsdPerMillion: nano,
    reasoningNanoUsdPerMillion: nano,
    requestNanoUsd: fc.bigInt({ min: 0n, max: 1_000_000_000n }),
  };
  const prices = fc
    .tuple(
      fc.record(fields, { requiredKeys: ["inputNanoUsdPerMillion", "outputNanoUsdPerMillion"] }),
      fc.array(fc.tuple(fc.nat(3_000_000), fc.record(fields, { requiredKeys: [] })), {
        maxLength: 3,
      }),
    )
    .map(([price, tiers]) =>
      create(PriceSchema, {
        ...price,
        tiers: tiers
          .map(([aboveInputTokens, tier]) => ({ aboveInputTokens, price: tier }))
          .sort((a, b) => a.aboveInputTokens - b.aboveInputTokens),
      }),
    );
  const tokens = fc.nat(500_000);

  it("is never below what the tokens cost, of whatever kind and tier", () => {
    fc.assert(
      fc.property(prices, fc.array(tokens, { minLength: 8, maxLength: 8 }), (price, counts) => {
        const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = counts;
        const usage = createUsage({
          inputTokens: a,
          cacheReadTokens: b,
          cacheWriteTokens: c,
          cacheWrite1hTokens: d,
          inputAudioTokens: e,
          outputTokens: f,
          reasoningTokens: g,
          outputAudioTokens: h,
        });
        const input = a + b + c + d + e;
        const most = boundCost(boundPrice(price, input), input, f + g + h);
        expect(most).toBeGreaterThanOrEqual(Number(computeCost(usage, price).costNanoUsd));
        const more = boundCost(boundPrice(price, input + 7), input + 7, f + g + h + 9);
        expect(more).toBeGreaterThanOrEqual(most);
      }),
    );
  });

  it("stays a number to reckon with, whatever is asked", () => {
    const price = createTestTarget().price;
    if (price === undefined) throw new Error("no price");
    const most = boundCost(boundPrice(price, 1e12), 1e12, 1e15);
    expect(Number.isSafeInteger(most)).toBe(true);
  });

  it("is nothing where nothing is charged", () => {
    const free = create(PriceSchema, {});
    expect(boundCost(boundPrice(free, 1_000), 1_000, 1_000)).toBe(0);
  });
});
