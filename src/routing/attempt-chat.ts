import type { Decision } from "../../gen/weir/v1/chat_pb.ts";
import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { ChatAsk } from "../mesh/ask.ts";
import type { Call } from "../mesh/call.ts";
import type { Grant, Leg } from "../mesh/grant.ts";
import type { Outcome } from "../mesh/outcome.ts";
import type { ChatSink } from "../mesh/sink.ts";
import type { Target } from "../mesh/target.ts";
import type { Upstream, UpstreamEnd } from "../mesh/upstream.ts";
import { computeCost } from "../mesh/usage.ts";
import { AttemptClocks, readClockLimits } from "./attempt-clocks.ts";
import type { AttemptLog } from "./attempt-log.ts";
import { type AttemptTools, runAttempts, type TryTarget } from "./attempts.ts";
import { CommitSink } from "./commit-sink.ts";
import { watchDeadline } from "./deadline.ts";
import { createDecision } from "./decision.ts";
import { estimateInput, settle } from "./settle.ts";

/** Tries the targets of a grant until one commits, and follows that one to its end. */
export function createAttemptChat(
  tools: AttemptTools,
  upstream: Upstream,
): (grant: Grant, ask: ChatAsk, call: Call, sink: ChatSink) => Promise<Outcome> {
  return async (grant, ask, call, sink) => {
    const deadline = watchDeadline(call, tools.clock);
    try {
      const tryTarget = new TryChat({ grant, ask, call, sink, tools, upstream });
      return await runAttempts({ grant, call, tools, tryTarget });
    } finally {
      deadline?.cancel();
    }
  };
}

/** All that the attempts of one chat share. */
interface ChatParts {
  readonly grant: Grant;
  readonly ask: ChatAsk;
  readonly call: Call;
  readonly sink: ChatSink;
  readonly tools: AttemptTools;
  readonly upstream: Upstream;
}

/** Calls one target once, and passes its answer on from the first content. */
class TryChat implements TryTarget<Outcome> {
  readonly #parts: ChatParts;
  #committed = false;

  constructor(parts: ChatParts) {
    this.#parts = parts;
  }

  committed(): boolean {
    return this.#committed;
  }

  async run(leg: Leg, target: Target, log: AttemptLog): Promise<Outcome> {
    const { ask, call, sink, tools, upstream } = this.#parts;
    const limits = readClockLimits(leg.model.timeouts, ask.stream);
    const clocks = new AttemptClocks(tools.clock, limits, log.cancellation);
    const decision = this.#decide(leg, target, log);
    const commit = new CommitSink(sink, clocks, () => {
      this.#committed = true;
      log.record.committed = true;
      clocks.commit();
      call.trail.firstContentMs = tools.clock.now();
      call.trail.decision = decision;
      sink.start(decision);
    });
    try {
      const end = await upstream.chat(target, ask, commit, log);
      commit.commit();
      decision.upstreamId = end.upstreamId;
      return this.#conclude(target, decision, end, end.usage ?? log.partial);
    } finally {
      clocks.stop();
    }
  }

  #decide(leg: Leg, target: Target, log: AttemptLog): Decision {
    const { call, grant } = this.#parts;
    return createDecision({ call, grant, leg, target, log });
  }

  #conclude(
    target: Target,
    decision: Decision,
    end: UpstreamEnd,
    counted: Usage | undefined,
  ): Outcome {
    const { ask, call, tools } = this.#parts;
    const { trail } = call;
    const usage = counted ?? estimateInput(ask.bytes);
    settle(trail, target, usage);
    trail.finish = end.finish;
    return {
      decision,
      finish: end.finish,
      usage,
      cost: computeCost(usage, target.price),
      firstTokenMs: trail.firstContentMs && trail.firstContentMs - call.startedMs,
      latencyMs: tools.clock.now() - call.startedMs,
    };
  }
}
