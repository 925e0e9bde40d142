import type { EmbedAsk } from "../mesh/ask.ts";
import type { Call } from "../mesh/call.ts";
import type { Grant, Leg } from "../mesh/grant.ts";
import type { EmbedOutcome } from "../mesh/outcome.ts";
import type { Target } from "../mesh/target.ts";
import type { Upstream } from "../mesh/upstream.ts";
import { computeCost } from "../mesh/usage.ts";
import { AttemptClocks, readClockLimits } from "./attempt-clocks.ts";
import type { AttemptLog } from "./attempt-log.ts";
import { type AttemptTools, runAttempts } from "./attempts.ts";
import { watchDeadline } from "./deadline.ts";
import { createDecision } from "./decision.ts";
import { estimateInput, settle } from "./settle.ts";

/** Tries the targets of a grant until one gives vectors. */
export function createAttemptEmbed(
  tools: AttemptTools,
  upstream: Upstream,
): (grant: Grant, ask: EmbedAsk, call: Call) => Promise<EmbedOutcome> {
  return async (grant, ask, call) => {
    const deadline = watchDeadline(call, tools.clock);
    const run = (leg: Leg, target: Target, log: AttemptLog): Promise<EmbedOutcome> =>
      embedOnce({ grant, ask, call, tools, upstream, leg, target, log });
    try {
      return await runAttempts({ grant, call, tools, tryTarget: { run, committed: () => false } });
    } finally {
      deadline?.cancel();
    }
  };
}

interface EmbedAttempt {
  readonly grant: Grant;
  readonly ask: EmbedAsk;
  readonly call: Call;
  readonly tools: AttemptTools;
  readonly upstream: Upstream;
  readonly leg: Leg;
  readonly target: Target;
  readonly log: AttemptLog;
}

async function embedOnce(attempt: EmbedAttempt): Promise<EmbedOutcome> {
  const { ask, call, tools, upstream, leg, target, log } = attempt;
  const limits = readClockLimits(leg.model.timeouts, false);
  const clocks = new AttemptClocks(tools.clock, limits, log.cancellation);
  try {
    const vectors = await upstream.embed(target, ask, log);
    const decision = createDecision(attempt);
    const usage = vectors.usage ?? estimateInput(ask.bytes);
    const cost = computeCost(usage, target.price);
    log.record.committed = true;
    call.trail.decision = decision;
    settle(call.trail, target, usage);
    return {
      decision,
      usage,
      cost,
      wire: vectors.wire,
      response: () => ({ ...vectors.response(), decision, usage, cost }),
    };
  } finally {
    clocks.stop();
  }
}
