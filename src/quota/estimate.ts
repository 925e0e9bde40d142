import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { Limit } from "../mesh/limit.ts";
import type { Target } from "../mesh/target.ts";
import { isInputCounted, sumInputTokens, sumOutputTokens } from "../mesh/usage.ts";
import { boundAmount } from "./amount.ts";
import type { AskBound } from "./bound.ts";

/**
 * What a limit counts of an answer that nobody has counted to its end, such as one that broke off:
 * never less than the vendor may bill for what was seen of it. An estimate takes so many bytes for
 * a token, and a tokenizer may make one of each; the prompt counts as its bound, unless the vendor
 * has counted it. Undefined where nothing tells.
 */
export function estimatedAmount(
  limit: Limit,
  target: Target,
  bound: AskBound,
  usage: Usage,
): number | undefined {
  const input = isInputCounted(usage) ? sumInputTokens(usage) : bound.input;
  const output = BYTES_A_TOKEN * sumOutputTokens(usage);
  return boundAmount(limit, target, { input, output, choices: 1 }, output);
}

const BYTES_A_TOKEN = 4;
