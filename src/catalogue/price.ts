import type { ModelPrice } from "@pydantic/genai-prices";
import type { Price, PriceTier } from "../../gen/weir/v1/usage_pb.ts";

/**
 * A catalogue's price, in US dollars, as Weir's, in whole nano-USD. Undefined when it names no
 * price for tokens: then it is charged by something that Weir does not count.
 */
export function mapPrice(prices: ModelPrice): Price | undefined {
  if (!tokenKeys.some((key) => prices[key] !== undefined)) return undefined;
  return { ...priceAbove(prices, 0), tiers: mapTiers(prices) };
}

/** US dollars for a million tokens → nano-USD for a million tokens, the nearest whole number. */
export function parseNanoUsd(usd: number): bigint {
  if (!Number.isFinite(usd) || usd < 0) throw new Error(`${usd} is not a price`);
  // toFixed writes the double's own decimal digits, rounded; a multiplication by 1e9 would round
  // twice.
  return BigInt(usd.toFixed(9).replace(".", ""));
}

const tokenKeys = ["input_mtok", "output_mtok", "input_audio_mtok", "output_audio_mtok"];

function mapTiers(prices: ModelPrice): PriceTier[] {
  const starts = new Set<number>();
  for (const price of Object.values(prices)) {
    if (typeof price === "object") for (const tier of price.tiers) starts.add(tier.start);
  }
  return [...starts]
    .sort((a, b) => a - b)
    .map((start) => ({
      $typeName: "weir.v1.PriceTier",
      aboveInputTokens: start,
      price: priceAbove(prices, start),
    }));
}

/** The price of a request with more input tokens than `start`; 0 means the base. */
function priceAbove(prices: ModelPrice, start: number): Price {
  const nano = (key: string): bigint | undefined => {
    const price = prices[key];
    if (price === undefined) return undefined;
    if (typeof price === "number") return parseNanoUsd(price);
    let chosen = price.base;
    let reached = -1;
    for (const tier of price.tiers) {
      if (tier.start > start || tier.start <= reached || start === 0) continue;
      chosen = tier.price;
      reached = tier.start;
    }
    return parseNanoUsd(chosen);
  };
  const price: Price = {
    $typeName: "weir.v1.Price",
    inputNanoUsdPerMillion: nano("input_mtok") ?? 0n,
    outputNanoUsdPerMillion: nano("output_mtok") ?? 0n,
    // Given in dollars for a thousand requests.
    requestNanoUsd: (nano("requests_kcount") ?? 0n) / 1000n,
    tiers: [],
  };
  for (const [field, key] of optionalFields) {
    const value = nano(key);
    if (value !== undefined) price[field] = value;
  }
  return price;
}

const optionalFields = [
  ["cacheReadNanoUsdPerMillion", "cache_read_mtok"],
  ["cacheWriteNanoUsdPerMillion", "cache_write_mtok"],
  ["cacheWrite1hNanoUsdPerMillion", "cache_write_1h_mtok"],
  ["inputAudioNanoUsdPerMillion", "input_audio_mtok"],
  ["outputAudioNanoUsdPerMillion", "output_audio_mtok"],
  ["reasoningNanoUsdPerMillion", "output_reasoning_mtok"],
] as const;
