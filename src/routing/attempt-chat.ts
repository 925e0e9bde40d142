import type { Decision } from "../../gen/weir/v1/chat_pb.ts";
import type { ChatAsk } from "../mesh/ask.ts";
import type { Call } from "../mesh/call.ts";
import type { Grant, Leg } from "../mesh/grant.ts";
import type { Outcome } from "../mesh/outcome.ts";
import type { ChatSink } from "../mesh/sink.ts";
import type { Target } from "../mesh/target.ts";
import type { Upstream, UpstreamEnd } from "../mesh/upstream.ts";
import { AttemptClocks, readClockLimits } from "./attempt-clocks.ts";
import type { AttemptLog } from "./attempt-log.ts";
import { type AttemptTools, runAttempts, type TryTarget } from "./attempts.ts";
import { type CommitListener, CommitSink } from "./commit-sink.ts";
import { createDecision } from "./decision.ts";
import { estimateInput } from "./settle.ts";

/** Tries the targets of a grant until one commits, and follows that one to its end. */
export function createAttemptChat(
  tools: AttemptTools,
  upstream: Upstream,
): (grant: Grant, ask: ChatAsk, call: Call, sink: ChatSink) => Promise<Outcome> {
  return (grant, ask, call, sink) => {
    const tryTarget = new TryChat({ grant, ask, call, sink, tools, upstream });
    return runAttempts({ grant, call, tools, tryTarget, ask });
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
class TryChat implements TryTarget<UpstreamEnd, Outcome> {
  readonly #parts: ChatParts;
  #attempt: ChatAttempt | undefined;

  constructor(parts: ChatParts) {
    this.#parts = parts;
  }

  committed(): boolean {
    return this.#attempt?.committed ?? false;
  }

  begin(leg: Leg, target: Target, log: AttemptLog): Promise<UpstreamEnd> {
    const { ask, upstream } = this.#parts;
    this.#attempt = new ChatAttempt(this.#parts, leg, target, log);
    return upstream.chat(target, ask, this.#attempt.commit, log);
  }

  conclude(end: UpstreamEnd): Outcome {
    if (this.#attempt === undefined) throw new Error("nothing has begun");
    return this.#attempt.conclude(end);
  }

  stop(): void {
    this.#attempt?.clocks.stop();
  }
}

/** One attempt of a chat. */
class ChatAttempt implements CommitListener {
  readonly clocks: AttemptClocks;
  readonly commit: CommitSink;
  readonly #parts: ChatParts;
  readonly #log: AttemptLog;
  readonly #decision: Decision;

  constructor(parts: ChatParts, leg: Leg, target: Target, log: AttemptLog) {
    const { grant, ask, call, sink, tools } = parts;
    this.#parts = parts;
    this.#log = log;
    const limits = readClockLimits(leg.model.timeouts, ask.stream);
    this.clocks = new AttemptClocks(tools.clock, limits, log.cancellation);
    this.#decision = createDecision({ call, grant, leg, target, log });
    this.commit = new CommitSink(sink, this.clocks, this);
  }

  get committed(): boolean {
    return this.#log.record.committed;
  }

  onCommit(): void {
    const { call, sink, tools } = this.#parts;
    const { trail } = call;
    this.#log.record.committed = true;
    this.clocks.commit();
    trail.firstContentMs = tools.clock.now();
    trail.decision = this.#decision;
    sink.start(this.#decision);
  }

  conclude(end: UpstreamEnd): Outcome {
    this.commit.commit();
    const { ask, call, tools } = this.#parts;
    const { trail } = call;
    const decision = this.#decision;
    decision.upstreamId = end.upstreamId;
    const usage = end.usage ?? this.#log.partial ?? estimateInput(ask.bytes);
    const cost = this.#log.charge(usage);
    trail.finish = end.finish;
    return {
      decision,
      finish: end.finish,
      usage,
      cost,
      firstTokenMs: trail.firstContentMs && trail.firstContentMs - call.startedMs,
      latencyMs: tools.clock.now() - call.startedMs,
    };
  }
}
