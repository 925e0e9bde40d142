import type { ConditionalPrice, ModelPrice } from "@pydantic/genai-prices";

/**
 * The prices in force at a time. A start date counts from midnight UTC; the last that has begun
 * wins. Where hours of the day have their own prices the dearest is taken: a budget must not depend
 * on the hour in which a snapshot was compiled.
 */
export function pricesAt(prices: ModelPrice | ConditionalPrice[], wallMs: number): ModelPrice {
  if (!Array.isArray(prices)) return prices;
  let inForce: ModelPrice = prices[0]?.prices ?? {};
  let candidates: ModelPrice[] = [inForce];
  for (const each of prices) {
    const constraint = each.constraint;
    if (constraint?.type === "time_of_date") {
      candidates.push(each.prices);
    } else if (constraint === undefined || Date.parse(constraint.start_date) <= wallMs) {
      inForce = each.prices;
      candidates = [inForce];
    }
  }
  for (const candidate of candidates) {
    if (weigh(candidate) > weigh(inForce)) inForce = candidate;
  }
  return inForce;
}

/** Only for comparing prices of one model. */
function weigh(prices: ModelPrice): number {
  return base(prices.input_mtok) + base(prices.output_mtok);
}

function base(price: ModelPrice[string]): number {
  if (price === undefined) return 0;
  return typeof price === "number" ? price : price.base;
}
