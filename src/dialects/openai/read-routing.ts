import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  type RoutingPreferences,
  RoutingPreferences_Sort as Sort,
} from "../../../gen/weir/v1/chat_pb.ts";
import { isJsonObject } from "../../mesh/json.ts";
import {
  type Field,
  readBoolean,
  readObject,
  readString,
  readStrings,
  refuseField,
} from "./field.ts";

/** OpenRouter's `provider`: wishes about the target. Throws INVALID_REQUEST naming the field. */
export function readRouting(value: Field): RoutingPreferences | undefined {
  const wire = readObject(value, "provider");
  if (wire === undefined) return undefined;
  const routing: RoutingPreferences = {
    $typeName: "weir.v1.RoutingPreferences",
    order: readStrings(wire.order, "provider.order"),
    only: readStrings(wire.only, "provider.only"),
    ignore: readStrings(wire.ignore, "provider.ignore"),
    requireParameters: readBoolean(wire.require_parameters, "provider.require_parameters") ?? false,
    sort: readSort(wire.sort),
    zeroDataRetention: readBoolean(wire.zdr, "provider.zdr") ?? false,
    quantizations: readStrings(wire.quantizations, "provider.quantizations"),
  };
  const allowFallbacks = readBoolean(wire.allow_fallbacks, "provider.allow_fallbacks");
  if (allowFallbacks !== undefined) routing.allowFallbacks = allowFallbacks;
  const collection = readString(wire.data_collection, "provider.data_collection");
  if (collection !== undefined) routing.allowTraining = collection !== "deny";
  const price = readObject(wire.max_price, "provider.max_price");
  const input = readPrice(price?.prompt, "provider.max_price.prompt");
  if (input !== undefined) routing.maxInputPriceNanoUsdPerMillion = input;
  const output = readPrice(price?.completion, "provider.max_price.completion");
  if (output !== undefined) routing.maxOutputPriceNanoUsdPerMillion = output;
  const throughput = readMedian(wire.preferred_min_throughput, "provider.preferred_min_throughput");
  if (throughput !== undefined) routing.preferredMinTokensPerSecond = throughput;
  const latency = readMedian(wire.preferred_max_latency, "provider.preferred_max_latency");
  if (latency !== undefined) routing.preferredMaxLatency = createDuration(latency);
  return routing;
}

const sorts = new Map<string, Sort>([
  ["price", Sort.PRICE],
  ["throughput", Sort.THROUGHPUT],
  ["latency", Sort.LATENCY],
]);

/** A word, or {by, partition}. */
function readSort(value: Field): Sort {
  const word = readString(isJsonObject(value) ? value.by : value, "provider.sort");
  if (word === undefined) return Sort.UNSPECIFIED;
  return sorts.get(word) ?? refuseField("provider.sort", "price, throughput or latency");
}

/** USD for a million tokens, as a number or as text. */
function readPrice(value: Field, field: string): bigint | undefined {
  if (value === undefined || value === null) return undefined;
  const usd = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof usd !== "number" || !(usd >= 0 && usd < 1e9)) {
    return refuseField(field, "a price in USD for a million tokens");
  }
  return BigInt(Math.round(usd * 1e9));
}

/** A number, or one for each percentile, of which Weir takes the median. */
function readMedian(value: Field, field: string): number | undefined {
  const number = isJsonObject(value) ? value.p50 : value;
  if (number === undefined || number === null) return undefined;
  return typeof number === "number" && number >= 0 && number < 1e9
    ? number
    : refuseField(field, "a number, zero or above");
}

function createDuration(seconds: number): Duration {
  const whole = Math.floor(seconds);
  return {
    $typeName: "google.protobuf.Duration",
    seconds: BigInt(whole),
    nanos: Math.round((seconds - whole) * 1e9),
  };
}
