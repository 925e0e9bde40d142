import { create } from "@bufbuild/protobuf";
import { type Price, PriceSchema, type Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { AskBounds, ChatAsk } from "../../src/mesh/ask.ts";
import type { LimitUnit } from "../../src/mesh/limit.ts";
import type { Reservation } from "../../src/mesh/quota.ts";
import type { Target } from "../../src/mesh/target.ts";
import { computeCost, createUsage, sumInputTokens, sumOutputTokens } from "../../src/mesh/usage.ts";
import { createTestTarget } from "../support/targets.ts";
import type { Chance } from "./chance.ts";

/** What a request asks, and of whom. */
export interface Question {
  readonly bytes: number;
  readonly bounds: AskBounds;
  readonly target: Target;
}

/** A question as people ask them, and stranger ones. */
export function createQuestion(chance: Chance): Question {
  const bytes = Math.round(chance.magnitude(50, 40_000));
  const asked = chance.happens(0.7)
    ? Math.round(chance.magnitude(1, 8_000))
    : chance.pick([undefined, undefined, 0, -5, 1_000_000_000]);
  return {
    bytes,
    bounds: {
      outputTokensMax: asked,
      choices: chance.happens(0.1) ? chance.integer(2, 5) : 1,
      images: 0,
      audioBytes: 0,
      files: 0,
      fileBytes: 0,
      encodedBytes: chance.happens(0.05) ? Math.floor(bytes / 2) : 0,
    },
    target: createTestTarget({
      price: createPrice(chance),
      outputTokensMax: chance.happens(0.1) ? undefined : chance.pick([500, 4_096, 16_384]),
      // Of what shows all it bills, long answers are reserved in slices.
      capabilities: bytes % 2 === 0 ? new Set(["chat"]) : undefined,
    }),
  };
}

/** A question whose upper bound in a unit is exactly this; for tokens at least 100. */
export function createExactQuestion(unit: LimitUnit, amount: number): Question {
  const isOutput = unit === "output_tokens";
  const isInput = unit === "tokens" || unit === "input_tokens";
  const price = create(PriceSchema, { requestNanoUsd: BigInt(unit === "nano_usd" ? amount : 1) });
  const outputTokensMax = isOutput ? amount : 16;
  const output = unit === "tokens" ? outputTokensMax : 0;
  return {
    bytes: isInput ? amount - OVERHEAD_TOKENS - output : 10,
    bounds: {
      outputTokensMax,
      choices: 1,
      images: 0,
      audioBytes: 0,
      files: 0,
      fileBytes: 0,
      encodedBytes: 0,
    },
    target: createTestTarget({ price, outputTokensMax: undefined }),
  };
}

export function createAsk({ bytes, bounds }: Question): ChatAsk {
  return {
    dialect: "openai",
    model: "test/model",
    fallbackModels: [],
    stream: true,
    labels: {},
    sessionId: "",
    endUser: "",
    bytes,
    wire: {},
    parameters: () => [],
    routing: () => undefined,
    chat: () => {
      throw new Error("the body is not read here");
    },
    bounds: () => bounds,
  };
}

/** The most that the vendor may charge for a question, given the cap that was written to it. */
export function mostUsage(question: Question, cap: number | undefined): Usage {
  const { bytes, bounds, target } = question;
  const inputTokens = bytes - bounds.encodedBytes + OVERHEAD_TOKENS;
  const asked = bounds.outputTokensMax;
  const own = asked !== undefined && asked > 0 ? asked : OUTPUT_TOKENS_DEFAULT;
  const output = Math.min(cap ?? own, target.outputTokensMax ?? Number.POSITIVE_INFINITY);
  return createUsage({ inputTokens, outputTokens: output * bounds.choices });
}

/**
 * The most that must be reserved for a question in a unit: what it may come to were every token of
 * the dearest kind, and two beyond for the arithmetic's sake. What is reserved without proof may
 * all be booked, after a crash, though a vendor would charge less.
 */
export function boundIn(unit: LimitUnit, question: Question, cap: number | undefined): number {
  const most = mostUsage(question, cap);
  const thought = { ...most, outputTokens: 0, reasoningTokens: most.outputTokens };
  const amounts = [most, thought].map((usage) => countIn(unit, usage, question.target));
  return Math.max(...amounts) + (unit === "nano_usd" ? 2 : 0);
}

/** What it truly charges: often much less, sometimes all of it. */
export function drawUsage(chance: Chance, most: Usage): Usage {
  if (chance.happens(0.1)) return most;
  const outputTokens = Math.floor(most.outputTokens * chance.unit() ** 2);
  const input = 1 + Math.floor((most.inputTokens - 1) * chance.unit());
  const cacheReadTokens = chance.happens(0.3) ? Math.floor(input * chance.unit()) : 0;
  const reasoningTokens = chance.happens(0.2) ? Math.floor(outputTokens / 2) : 0;
  return createUsage({
    inputTokens: input - cacheReadTokens,
    cacheReadTokens,
    outputTokens: outputTokens - reasoningTokens,
    reasoningTokens,
  });
}

/**
 * What it comes to produce where it is paid for in slices: as much as can be covered at once, since
 * it is cut where no more is to be had.
 */
export function cutUsage(reservation: Reservation, usage: Usage): Usage {
  let most = sumOutputTokens(usage);
  if (reservation.cover === undefined) return usage;
  for (; most > 0 && reservation.cover(most) !== true; most = Math.floor(most / 2));
  const reasoningTokens = Math.min(usage.reasoningTokens, most);
  return { ...usage, reasoningTokens, outputTokens: most - reasoningTokens };
}

/** What a usage is in a limit's unit. Requests and slots are not counted by usage. */
export function countIn(unit: LimitUnit, usage: Usage, target: Target): number {
  switch (unit) {
    case "nano_usd":
      return Number(computeCost(usage, target.price).costNanoUsd);
    case "tokens":
      return sumInputTokens(usage) + sumOutputTokens(usage);
    case "input_tokens":
      return sumInputTokens(usage);
    case "output_tokens":
      return sumOutputTokens(usage);
    default:
      return 1;
  }
}

const OVERHEAD_TOKENS = 64;
const OUTPUT_TOKENS_DEFAULT = 32_768;

function createPrice(chance: Chance): Price {
  const input = Math.round(chance.magnitude(1e8, 5e9));
  const output = Math.round(input * chance.between(1, 6));
  const price = create(PriceSchema, {
    inputNanoUsdPerMillion: BigInt(input),
    outputNanoUsdPerMillion: BigInt(output),
  });
  if (chance.happens(0.3)) price.cacheReadNanoUsdPerMillion = BigInt(Math.round(input / 10));
  if (chance.happens(0.1)) price.reasoningNanoUsdPerMillion = BigInt(output * 2);
  if (chance.happens(0.1)) price.requestNanoUsd = BigInt(chance.integer(1, 1e6));
  return price;
}
