import { MeshError } from "../mesh/errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../mesh/json.ts";

/** What the simulated engine does wrong on request. `status` comes with a status code. */
export const FAULTS = [
  "status",
  "refuse",
  "reset",
  "stall",
  "half_frame",
  "split_utf8",
  "error_event",
  "garbage",
  "huge",
  "slow_headers",
  "no_usage",
  "no_done",
  "context_length",
  "content_filter",
] as const;

export type FaultName = (typeof FAULTS)[number];

/** What a number may be. */
interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly whole: boolean;
}

const count = (max: number, min = 0): Bounds => ({ min, max, whole: true });
const measure = (max: number): Bounds => ({ min: 0, max, whole: false });

/** The parameters as requests write them; each is explained in SimParameters. */
const NUMBERS = {
  ttft_ms: measure(3_600_000),
  tps: measure(1_000_000),
  chunk_tokens: count(1_000_000, 1),
  tokens: count(1_000_000),
  reasoning_tokens: count(1_000_000),
  cache_read_tokens: count(10_000_000),
  tool_calls: count(128),
  fault_rate: measure(1),
  fault_after: count(10_000_000),
  retry_after_s: measure(86_400),
} as const;
const TEXTS = ["text", "fault"] as const;

const NAMES: readonly string[] = [...Object.keys(NUMBERS), ...TEXTS];
const TEXT_NAMES: ReadonlySet<string> = new Set(TEXTS);

/** How the simulated engine behaves. All lengths are in its own tokens. */
export interface SimParameters {
  /** Time to the first token. Default 0. */
  readonly ttftMs: number;
  /** Tokens a second. 0, the default, means as fast as possible. */
  readonly tokensPerSecond: number;
  /** Tokens in one event of a stream. Default 1, but 4096 for a huge answer. */
  readonly chunkTokens: number;
  /** Length of the answer; undefined leaves it to the model. */
  readonly tokens: number | undefined;
  /** The answer itself; undefined leaves it to the model. */
  readonly text: string | undefined;
  /** Length of the reasoning before the answer; undefined leaves it to the request. */
  readonly reasoningTokens: number | undefined;
  /** How much of the prompt is said to have come from the prompt cache. Default 0. */
  readonly cacheReadTokens: number;
  /**
   * How many tools to call when tools are given; undefined means one when the request demands it,
   * else none.
   */
  readonly toolCalls: number | undefined;
  readonly fault: FaultName | undefined;
  /** The HTTP status of the fault `status`. */
  readonly faultStatus: number;
  /** Share of requests that meet the fault. Default 1. */
  readonly faultRate: number;
  /** Tokens before the fault; undefined means before anything. */
  readonly faultAfter: number | undefined;
  /** `retry-after` of the fault `status`; undefined means that the header is missing. */
  readonly retryAfterS: number | undefined;
}

/** A model of the engine and how it shall behave. */
export interface SimSettings {
  readonly model: string;
  readonly parameters: SimParameters;
}

/**
 * Reads the parameters of a request: those in the model's name (`text?ttft_ms=20`), over them
 * `overrides` (the target's), over them those in provider_options. Throws INVALID_REQUEST naming
 * the parameter.
 */
export function readSettings(
  upstreamModel: string,
  overrides: JsonObject | undefined,
  providerOptions: string,
): SimSettings {
  const at = upstreamModel.indexOf("?");
  if (at < 0 && overrides === undefined && providerOptions === "") {
    return { model: upstreamModel, parameters: DEFAULTS };
  }
  const model = at < 0 ? upstreamModel : upstreamModel.slice(0, at);
  const raw: JsonObject = {
    ...(at < 0 ? undefined : parseQuery(upstreamModel.slice(at + 1))),
    ...(isJsonObject(overrides?.sim) ? overrides.sim : overrides),
    ...findOptions(providerOptions),
  };
  return { model, parameters: parseParameters(raw) };
}

/** Checks parameters as a request writes them. Throws INVALID_REQUEST naming the parameter. */
export function parseParameters(raw: JsonObject): SimParameters {
  for (const name of Object.keys(raw)) {
    if (NAMES.includes(name)) continue;
    throw invalid(`sim.${name}`, `is unknown; the simulated engine knows ${NAMES.join(", ")}`);
  }
  const number = (name: keyof typeof NUMBERS) => readNumber(name, raw[name]);
  const fault = readText("fault", raw.fault);
  return {
    ttftMs: number("ttft_ms") ?? 0,
    tokensPerSecond: number("tps") ?? 0,
    chunkTokens: number("chunk_tokens") ?? (fault === "huge" ? 4096 : 1),
    tokens: number("tokens"),
    text: readText("text", raw.text),
    reasoningTokens: number("reasoning_tokens"),
    cacheReadTokens: number("cache_read_tokens") ?? 0,
    toolCalls: number("tool_calls"),
    ...parseFault(fault),
    faultRate: number("fault_rate") ?? 1,
    faultAfter: number("fault_after"),
    retryAfterS: number("retry_after_s"),
  };
}

function readNumber(name: keyof typeof NUMBERS, value: JsonValue | undefined): number | undefined {
  if (value === undefined) return undefined;
  const { min, max, whole } = NUMBERS[name];
  const fits = typeof value === "number" && value >= min && value <= max;
  if (fits && (!whole || Number.isInteger(value))) return value;
  throw invalid(`sim.${name}`, `must be a ${whole ? "whole " : ""}number from ${min} to ${max}`);
}

function readText(name: string, value: JsonValue | undefined): string | undefined {
  if (value === undefined || typeof value === "string") return value;
  throw invalid(`sim.${name}`, "must be a string");
}

function parseQuery(query: string): JsonObject {
  const values: Record<string, JsonValue> = {};
  for (const [name, value] of new URLSearchParams(query)) {
    values[name] = TEXT_NAMES.has(name) || value === "" ? value : Number(value);
  }
  return values;
}

/**
 * The object `sim` stands alone for callers of the typed door, and within their dialect's for those
 * of the REST doors.
 */
function findOptions(providerOptions: string): JsonObject | undefined {
  if (providerOptions === "") return undefined;
  const options = parseJson(providerOptions);
  const found = { ...inner(options, "openai"), ...inner(options, "anthropic") };
  return { ...pick(found, "sim"), ...pick(options, "sim") };
}

function inner(options: JsonObject, dialect: string): JsonObject {
  const value = options[dialect];
  return isJsonObject(value) ? value : {};
}

function pick(options: JsonObject, name: string): JsonObject | undefined {
  const value = options[name];
  if (value === undefined || isJsonObject(value)) return value;
  throw invalid(name, "must be a JSON object of parameters");
}

function parseJson(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid("provider_options", "must be a JSON object");
  }
  if (!isJsonObject(value)) throw invalid("provider_options", "must be a JSON object");
  return value;
}

function parseFault(text: string | undefined): Pick<SimParameters, "fault" | "faultStatus"> {
  if (text === undefined || text === "") return { fault: undefined, faultStatus: 0 };
  const status = /^status:([345]\d\d)$/.exec(text);
  if (status !== null) return { fault: "status", faultStatus: Number(status[1]) };
  const fault = FAULTS.find((name) => name === text && name !== "status");
  if (fault !== undefined) return { fault, faultStatus: 0 };
  const known = FAULTS.map((name) => (name === "status" ? "status:NNN (300 to 599)" : name));
  throw invalid("sim.fault", `must be one of ${known.join(", ")}`);
}

function invalid(field: string, fault: string): MeshError {
  return new MeshError("INVALID_REQUEST", `\`${field}\` ${fault}.`, { field });
}

const DEFAULTS = parseParameters({});
