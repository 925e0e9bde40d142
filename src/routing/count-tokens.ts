import type { ChatAsk } from "../mesh/ask.ts";
import type { Call } from "../mesh/call.ts";
import type { Grant } from "../mesh/grant.ts";
import type { TokenCount } from "../mesh/rooms.ts";
import type { Upstream } from "../mesh/upstream.ts";
import { type AttemptTools, runAttempts, type TryTarget } from "./attempts.ts";
import { estimateInput } from "./settle.ts";

/**
 * Asks the first target that answers; where the vendor has no such thing, the prompt's bytes give
 * an estimate.
 */
export function createCountTokens(
  tools: AttemptTools,
  upstream: Upstream,
): (grant: Grant, ask: ChatAsk, call: Call) => Promise<TokenCount> {
  return (grant, ask, call) => {
    const tryTarget: TryTarget<number | undefined, TokenCount> = {
      begin: (_leg, target, log) => upstream.countTokens(target, ask, log),
      conclude: (counted) => {
        if (counted !== undefined) return { inputTokens: counted, estimated: false };
        return { inputTokens: estimateInput(ask.bytes).inputTokens, estimated: true };
      },
    };
    return runAttempts({ grant, call, tools, tryTarget });
  };
}
