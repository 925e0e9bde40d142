import { waitForUpdate } from "@pydantic/genai-prices";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { computeCost, createUsage } from "../mesh/usage.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createCatalogue } from "./catalogue.ts";
import { pricesAt } from "./conditional.ts";
import { mapPrice, parseNanoUsd } from "./price.ts";

const clock = new VirtualClock(Date.UTC(2026, 10, 23));

describe("createCatalogue()", () => {
  const { findPrice, findModelFacts } = createCatalogue(clock);

  it("knows what gpt-4o-mini costs, by vendor and by base URL", () => {
    const byVendor = findPrice({ catalogue: "openai", baseUrl: "", upstreamModel: "gpt-4o-mini" });
    expect(byVendor).toMatchObject({
      inputNanoUsdPerMillion: 150_000_000n,
      outputNanoUsdPerMillion: 600_000_000n,
      cacheReadNanoUsdPerMillion: 75_000_000n,
      tiers: [],
    });
    const baseUrl = "https://api.openai.com/v1";
    expect(findPrice({ catalogue: "", baseUrl, upstreamModel: "gpt-4o-mini" })).toEqual(byVendor);
  });

  it("knows what Anthropic asks for writing into its cache", () => {
    const price = findPrice({
      catalogue: "",
      baseUrl: "https://api.anthropic.com",
      upstreamModel: "claude-sonnet-4-5-20250929",
    });
    expect(price).toMatchObject({
      inputNanoUsdPerMillion: 3_000_000_000n,
      outputNanoUsdPerMillion: 15_000_000_000n,
      cacheReadNanoUsdPerMillion: 300_000_000n,
      cacheWriteNanoUsdPerMillion: 3_750_000_000n,
    });
  });

  it("knows the context window", () => {
    const question = { catalogue: "openai", baseUrl: "", upstreamModel: "gpt-4o-mini" };
    expect(findModelFacts(question)?.contextTokensMax).toBe(128_000);
  });

  for (const question of [
    { catalogue: "", baseUrl: "", upstreamModel: "gpt-4o-mini" },
    { catalogue: "", baseUrl: "http://127.0.0.1:11434/v1", upstreamModel: "gpt-4o-mini" },
    { catalogue: "no-such-vendor", baseUrl: "", upstreamModel: "gpt-4o-mini" },
    { catalogue: "openai", baseUrl: "", upstreamModel: "no-such-model" },
    { catalogue: "openai", baseUrl: "", upstreamModel: "" },
    { catalogue: "openai", baseUrl: "", upstreamModel: "g".repeat(100_000) },
  ]) {
    it(`claims nothing about ${JSON.stringify(question).slice(0, 80)}`, () => {
      expect(findPrice(question)).toBeUndefined();
    });
  }

  it("follows a price that changes on a date", async () => {
    const moving = new VirtualClock(Date.UTC(2026, 7, 20, 12));
    const catalogue = createCatalogue(moving);
    const question = { catalogue: "openai", baseUrl: "", upstreamModel: "gpt-5.6-sol" };
    expect(catalogue.findPrice(question)?.inputNanoUsdPerMillion).toBe(5_000_000_000n);
    await moving.advance(12 * 3_600_000);
    expect(catalogue.findPrice(question)?.inputNanoUsdPerMillion).toBe(4_000_000_000n);
  });

  it("charges the whole request by the tier that it reaches", () => {
    const price = findPrice({ catalogue: "openai", baseUrl: "", upstreamModel: "gpt-5.6-sol" });
    const cost = (inputTokens: number) => computeCost(createUsage({ inputTokens }), price);
    expect(cost(271_999).costNanoUsd).toBe(271_999n * 4000n);
    expect(cost(272_000).costNanoUsd).toBe(272_000n * 8000n);
  });
});

describe("pricesAt()", () => {
  it("takes the dearest hours of the day", () => {
    const prices = pricesAt(
      [
        { prices: { input_mtok: 1, output_mtok: 1 } },
        {
          constraint: { type: "time_of_date", start_time: "01:00:00Z", end_time: "04:00:00Z" },
          prices: { input_mtok: 2, output_mtok: 2 },
        },
      ],
      clock.wallMs(),
    );
    expect(prices).toEqual({ input_mtok: 2, output_mtok: 2 });
  });
});

describe("parseNanoUsd()", () => {
  it("reads back every whole number of nano-USD that is a price", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000_000_000 }), (nano) => {
        expect(parseNanoUsd(nano / 1e9)).toBe(BigInt(nano));
      }),
    );
  });

  for (const bad of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    it(`refuses ${bad}`, () => expect(() => parseNanoUsd(bad)).toThrow());
  }
});

describe("mapPrice()", () => {
  it("converts every price in the data, and never to another amount", async () => {
    const vendors = (await waitForUpdate()) ?? [];
    let converted = 0;
    for (const vendor of vendors) {
      for (const model of vendor.models) {
        const prices = pricesAt(model.prices, clock.wallMs());
        const price = mapPrice(prices);
        if (price === undefined) continue;
        converted += 1;
        const input = prices.input_mtok ?? 0;
        const usd = typeof input === "number" ? input : input.base;
        expect(Number(price.inputNanoUsdPerMillion) / 1e9, `${vendor.id} ${model.id}`).toBeCloseTo(
          usd,
          8,
        );
        const starts = price.tiers.map((tier) => tier.aboveInputTokens);
        expect(starts).toEqual([...starts].sort((a, b) => a - b));
      }
    }
    expect(converted).toBeGreaterThan(1000);
  });
});
