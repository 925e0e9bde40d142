import { type RoutingPreferences, RoutingPreferences_Sort } from "../../../gen/weir/v1/chat_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import {
  parseObject,
  parseOptionalBoolean,
  parseOptionalNumber,
  parseStrings,
  refuseField,
} from "./fields.ts";

/** `provider` of a request, as OpenRouter has it, as preferences. Throws INVALID_REQUEST naming the path. */
export function parseRouting(value: JsonValue | undefined): RoutingPreferences | undefined {
  if (value === undefined || value === null) return undefined;
  const provider = parseObject(value, "provider");
  for (const name in provider) {
    if (!known.has(name)) throw refuseField(`provider.${name}`, "is no preference that Weir knows");
  }
  const reading: RoutingPreferences = {
    $typeName: "weir.v1.RoutingPreferences",
    order: parseNames(provider, "order"),
    only: parseNames(provider, "only"),
    ignore: parseNames(provider, "ignore"),
    requireParameters: parseFlag(provider, "require_parameters") === true,
    sort: parseSort(provider.sort),
    zeroDataRetention: parseFlag(provider, "zdr") === true,
    quantizations: parseNames(provider, "quantizations"),
  };
  const allowFallbacks = parseFlag(provider, "allow_fallbacks");
  if (allowFallbacks !== undefined) reading.allowFallbacks = allowFallbacks;
  const dataCollection = provider.data_collection;
  if (dataCollection === "deny") reading.allowTraining = false;
  else if (dataCollection === "allow") reading.allowTraining = true;
  else if (dataCollection !== undefined && dataCollection !== null) {
    throw refuseField("provider.data_collection", "must be allow or deny");
  }
  addLimits(provider, reading);
  return reading;
}

const known = new Set([
  ...["order", "only", "ignore", "allow_fallbacks", "require_parameters", "data_collection"],
  ...["zdr", "quantizations", "sort", "preferred_min_throughput", "preferred_max_latency"],
  "max_price",
]);

function parseNames(provider: JsonObject, name: string): string[] {
  const value = provider[name];
  return value === undefined || value === null ? [] : parseStrings(value, `provider.${name}`);
}

function parseFlag(provider: JsonObject, name: string): boolean | undefined {
  return parseOptionalBoolean(provider[name], `provider.${name}`);
}

function parseSort(value: JsonValue | undefined): RoutingPreferences_Sort {
  const by = isJsonObject(value) ? value.by : value;
  if (by === undefined || by === null) return RoutingPreferences_Sort.UNSPECIFIED;
  if (by === "price") return RoutingPreferences_Sort.PRICE;
  if (by === "throughput") return RoutingPreferences_Sort.THROUGHPUT;
  if (by === "latency") return RoutingPreferences_Sort.LATENCY;
  throw refuseField("provider.sort", "must be price, throughput or latency");
}

function addLimits(provider: JsonObject, reading: RoutingPreferences): void {
  const throughput = parseAmount(
    provider.preferred_min_throughput,
    "provider.preferred_min_throughput",
  );
  if (throughput !== undefined) reading.preferredMinTokensPerSecond = throughput;
  const latency = parseAmount(provider.preferred_max_latency, "provider.preferred_max_latency");
  if (latency !== undefined) {
    const seconds = Math.floor(latency);
    reading.preferredMaxLatency = {
      $typeName: "google.protobuf.Duration",
      seconds: BigInt(seconds),
      nanos: Math.round((latency - seconds) * 1e9),
    };
  }
  const maxPrice = provider.max_price;
  if (maxPrice === undefined || maxPrice === null) return;
  const { prompt, completion } = parseObject(maxPrice, "provider.max_price");
  const input = parseAmount(prompt, "provider.max_price.prompt");
  const output = parseAmount(completion, "provider.max_price.completion");
  if (input !== undefined) reading.maxInputPriceNanoUsdPerMillion = nanoUsd(input);
  if (output !== undefined) reading.maxOutputPriceNanoUsdPerMillion = nanoUsd(output);
}

/** A number of at least 0 that may be written as a string, as prices often are. */
function parseAmount(value: JsonValue | undefined, path: string): number | undefined {
  const isText = typeof value === "string" && value.trim() !== "";
  const amount = parseOptionalNumber(isText ? Number(value) : value, path);
  if (amount === undefined || amount >= 0) return amount;
  throw refuseField(path, "must not be negative");
}

/** Prices are in USD for a million tokens. */
function nanoUsd(usd: number): bigint {
  return BigInt(Math.round(usd * 1e9));
}
