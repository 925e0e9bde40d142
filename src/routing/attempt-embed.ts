import type { EmbedAsk } from "../mesh/ask.ts";
import type { Call } from "../mesh/call.ts";
import type { Grant, Leg } from "../mesh/grant.ts";
import type { EmbedOutcome } from "../mesh/outcome.ts";
import type { Target } from "../mesh/target.ts";
import type { Upstream, UpstreamVectors } from "../mesh/upstream.ts";
import { AttemptClocks, readClockLimits } from "./attempt-clocks.ts";
import type { AttemptLog } from "./attempt-log.ts";
import { type AttemptTools, runAttempts, type TryTarget } from "./attempts.ts";
import { createDecision } from "./decision.ts";
import { estimateInput } from "./settle.ts";

/** Tries the targets of a grant until one gives vectors. */
export function createAttemptEmbed(
  tools: AttemptTools,
  upstream: Upstream,
): (grant: Grant, ask: EmbedAsk, call: Call) => Promise<EmbedOutcome> {
  return (grant, ask, call) => {
    const tryTarget = new TryEmbed({ grant, ask, call, tools, upstream });
    return runAttempts({ grant, call, tools, tryTarget, ask });
  };
}

/** All that the attempts of one embedding share. */
interface EmbedParts {
  readonly grant: Grant;
  readonly ask: EmbedAsk;
  readonly call: Call;
  readonly tools: AttemptTools;
  readonly upstream: Upstream;
}

/** Asks one target once. */
class TryEmbed implements TryTarget<UpstreamVectors, EmbedOutcome> {
  readonly #parts: EmbedParts;
  #attempt: { readonly leg: Leg; readonly target: Target; readonly log: AttemptLog } | undefined;
  #clocks: AttemptClocks | undefined;

  constructor(parts: EmbedParts) {
    this.#parts = parts;
  }

  begin(leg: Leg, target: Target, log: AttemptLog): Promise<UpstreamVectors> {
    const { ask, tools, upstream } = this.#parts;
    this.#attempt = { leg, target, log };
    const limits = readClockLimits(leg.model.timeouts, false);
    this.#clocks = new AttemptClocks(tools.clock, limits, log.cancellation);
    return upstream.embed(target, ask, log);
  }

  conclude(vectors: UpstreamVectors): EmbedOutcome {
    if (this.#attempt === undefined) throw new Error("nothing has begun");
    const { grant, ask, call } = this.#parts;
    const { log } = this.#attempt;
    const decision = createDecision({ call, grant, ...this.#attempt });
    const usage = vectors.usage ?? estimateInput(ask.bytes);
    const cost = log.charge(usage, usage);
    log.record.committed = true;
    call.trail.decision = decision;
    return {
      decision,
      usage,
      cost,
      wire: vectors.wire,
      response: () => ({ ...vectors.response(), decision, usage, cost }),
    };
  }

  stop(): void {
    this.#clocks?.stop();
  }
}
