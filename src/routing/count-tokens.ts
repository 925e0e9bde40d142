import type { ChatAsk } from "../mesh/ask.ts";
import type { Call } from "../mesh/call.ts";
import type { Grant } from "../mesh/grant.ts";
import type { TokenCount } from "../mesh/rooms.ts";
import type { Upstream } from "../mesh/upstream.ts";
import { type AttemptTools, runAttempts } from "./attempts.ts";
import { watchDeadline } from "./deadline.ts";
import { estimateInput } from "./settle.ts";

/**
 * Asks the first target that answers; where the vendor has no such thing, the prompt's bytes give
 * an estimate.
 */
export function createCountTokens(
  tools: AttemptTools,
  upstream: Upstream,
): (grant: Grant, ask: ChatAsk, call: Call) => Promise<TokenCount> {
  return async (grant, ask, call) => {
    const deadline = watchDeadline(call, tools.clock);
    try {
      const counted = await runAttempts({
        grant,
        call,
        tools,
        tryTarget: {
          run: (_leg, target, log) => upstream.countTokens(target, ask, log),
          committed: () => false,
        },
      });
      if (counted !== undefined) return { inputTokens: counted, estimated: false };
      return { inputTokens: estimateInput(ask.bytes).inputTokens, estimated: true };
    } finally {
      deadline?.cancel();
    }
  };
}
