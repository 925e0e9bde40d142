import { type Decision, type Finish, FinishReason } from "../../gen/weir/v1/chat_pb.ts";
import type { ChatAsk } from "../mesh/ask.ts";
import type { Call } from "../mesh/call.ts";
import { type ChatEvent, createEventChunk } from "../mesh/chunk.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Grant, Leg } from "../mesh/grant.ts";
import type { Outcome } from "../mesh/outcome.ts";
import { QUOTA_FINISH } from "../mesh/quota.ts";
import type { ChatSink } from "../mesh/sink.ts";
import type { Target } from "../mesh/target.ts";
import type { Upstream, UpstreamEnd } from "../mesh/upstream.ts";
import { AttemptClocks, readClockLimits } from "./attempt-clocks.ts";
import type { AttemptLog } from "./attempt-log.ts";
import { type AttemptTools, runAttempts, type TryTarget } from "./attempts.ts";
import { type CommitListener, CommitSink } from "./commit-sink.ts";
import { createDecision } from "./decision.ts";
import { OutputGuard } from "./output-guard.ts";
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

  concludeShort(): Outcome | undefined {
    return this.#attempt?.concludeShort();
  }

  stop(): void {
    this.#attempt?.stop();
  }
}

/** One attempt of a chat. */
class ChatAttempt implements CommitListener {
  readonly clocks: AttemptClocks;
  readonly commit: CommitSink;
  readonly #parts: ChatParts;
  readonly #log: AttemptLog;
  readonly #decision: Decision;
  readonly #guard: OutputGuard | undefined;
  /** Why the attempt was ended from within. */
  #short: MeshError | undefined;

  constructor(parts: ChatParts, leg: Leg, target: Target, log: AttemptLog) {
    const { grant, ask, call, sink, tools } = parts;
    this.#parts = parts;
    this.#log = log;
    const limits = readClockLimits(leg.model.timeouts, ask.stream);
    this.clocks = new AttemptClocks(tools.clock, limits, log.cancellation);
    this.#decision = createDecision({ call, grant, leg, target, log });
    const { slices } = log;
    const guard = slices === undefined ? undefined : new OutputGuard(slices);
    this.#guard = guard;
    this.commit = new CommitSink({ sink, clocks: this.clocks, listener: this, guard });
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

  /** What has flowed stays an answer, as long as it got; where nothing has, it is a refusal. */
  onShort(): void {
    const { ask, call, sink } = this.#parts;
    const policy = this.#log.slices?.clampedBy ?? "";
    call.trail.clampedBy = policy;
    this.#short = new MeshError(
      "BUDGET_EXHAUSTED",
      `The budget ${policy} does not have enough left for a longer answer. Whoever keeps the ` +
        "budget can raise it.",
      { metadata: { policy } },
    );
    const guard = this.#guard;
    if (this.committed && guard !== undefined && !guard.passedOn) {
      sink.chunk(createEventChunk(finishChoices(ask.bounds().choices, guard.finished), false));
    }
    this.#log.cancellation.cancel(this.#short);
  }

  /** The answer that was cut; undefined where something else has ended the attempt. */
  concludeShort(): Outcome | undefined {
    return this.#isShort && this.committed ? this.#conclude(SHORT_END) : undefined;
  }

  stop(): void {
    this.clocks.stop();
    this.commit.close();
  }

  /** Throws when not a word of it could be paid for. */
  conclude(end: UpstreamEnd): Outcome {
    // It had come to its end when it was told to stop.
    if (this.#short !== undefined && !this.committed) throw this.#short;
    return this.#conclude(this.#isShort ? { ...end, finish: SHORT_FINISH } : end);
  }

  get #isShort(): boolean {
    return this.#short !== undefined && this.#log.cancellation.cause === this.#short;
  }

  #conclude(end: UpstreamEnd): Outcome {
    this.commit.commit();
    const { ask, call, tools } = this.#parts;
    const { trail } = call;
    const decision = this.#decision;
    decision.upstreamId = end.upstreamId;
    const told = end.usage ?? this.#log.partial;
    const usage = told ?? estimateInput(ask.bytes);
    const cost = this.#log.charge(usage, told);
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

const SHORT_FINISH: Finish = {
  $typeName: "weir.v1.Finish",
  reason: FinishReason.LENGTH,
  raw: QUOTA_FINISH,
  stopSequence: "",
};

/** The end of an answer that a budget had no more for. */
const SHORT_END: UpstreamEnd = {
  finish: SHORT_FINISH,
  usage: undefined,
  upstreamId: "",
  modelVersion: "",
};

/** The ends of all answers that have not ended. */
function finishChoices(choices: number, finished: ReadonlySet<number>): ChatEvent[] {
  const events: ChatEvent[] = [];
  for (let choiceIndex = 0; choiceIndex < choices; choiceIndex++) {
    if (finished.has(choiceIndex)) continue;
    const value = {
      $typeName: "weir.v1.ChoiceFinished",
      choiceIndex,
      finish: SHORT_FINISH,
    } as const;
    events.push({ case: "choiceFinished", value });
  }
  return events;
}
