import { describe, expect, it } from "vitest";
import { FinishReason } from "../../gen/weir/v1/chat_pb.ts";
import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import {
  createTestAsk,
  createTestCall,
  createTestGrant,
  createTextChunk,
} from "../../test/support/calls.ts";
import { createTestLimit } from "../../test/support/quota-house.ts";
import { createTestLeg, createTestTarget } from "../../test/support/targets.ts";
import type { ChatChunk } from "../mesh/chunk.ts";
import { MeshError } from "../mesh/errors.ts";
import { bindLimit } from "../mesh/limit.ts";
import type { Quota, Reservation } from "../mesh/quota.ts";
import { createSeededRandom } from "../mesh/random.ts";
import type { ChatSink } from "../mesh/sink.ts";
import type { Attempt, Upstream, UpstreamEnd, UpstreamSink } from "../mesh/upstream.ts";
import { createUsage } from "../mesh/usage.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createAttemptChat } from "./attempt-chat.ts";
import { Breakers } from "./breaker.ts";

/** A quota room that covers so many tokens, and more only after the ledger has been asked. */
class TestQuota implements Quota {
  readonly settled: (Usage | undefined)[] = [];
  released = 0;
  covered: number;
  /** What the ledger will say: so much is covered then. */
  later: Promise<number> | undefined;

  constructor(covered: number) {
    this.covered = covered;
  }

  begin() {
    const quota = this;
    const reservation: Reservation = {
      outputTokensMax: 32_768,
      unprovenBy: [],
      get clampedBy() {
        return quota.later === undefined ? "policies/p" : "";
      },
      cover: (most) => most <= this.covered || this.#ask(),
      settle: (usage) => {
        this.settled.push(usage);
      },
      release: () => {
        this.released += 1;
      },
    };
    return { reserve: () => reservation, end: () => undefined };
  }

  #ask(): false | Promise<void> {
    if (this.later === undefined) return false;
    return this.later.then((covered) => {
      this.covered = covered;
      this.later = undefined;
    });
  }
}

class TestSink implements ChatSink {
  readonly chunks: ChatChunk[] = [];

  start(): void {}

  chunk(chunk: ChatChunk): boolean {
    this.chunks.push(chunk);
    return true;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  get events(): string[] {
    return this.chunks
      .flatMap((chunk) => chunk.events())
      .map((event) => (event.case === "textDelta" ? event.value.text : event.case));
  }
}

const end: UpstreamEnd = {
  finish: { $typeName: "weir.v1.Finish", reason: 1, raw: "stop", stopSequence: "" },
  usage: createUsage({ inputTokens: 10, outputTokens: 5 }),
  upstreamId: "",
  modelVersion: "",
};

const partial = createUsage({ inputTokens: 10, outputTokens: 2, estimated: true });

type Script = (sink: UpstreamSink, attempt: Attempt) => Promise<UpstreamEnd>;

/** Says words of four bytes as an upstream does, and stops when it is told to. */
function says(...words: string[]): Script {
  return async (sink, attempt) => {
    attempt.sent = true;
    for (const word of words) {
      attempt.partial = partial;
      if (!sink.chunk(createTextChunk(word))) await sink.ready();
      attempt.cancellation.throwIfCancelled();
    }
    attempt.partial = undefined;
    return end;
  };
}

function ask(quota: TestQuota, script: Script) {
  const clock = new VirtualClock();
  const upstream: Upstream = {
    chat: (_target, _ask, sink, attempt) => script(sink, attempt),
    embed: () => Promise.reject(new Error("not scripted")),
    countTokens: () => Promise.resolve(undefined),
  };
  const breakers = new Breakers(clock);
  const tools = { clock, random: createSeededRandom(1), breakers, quota };
  const limits = [bindLimit(createTestLimit(), "")];
  const grant = createTestGrant([createTestLeg([createTestTarget({ id: "a" })], { limits })]);
  const call = createTestCall(clock);
  const sink = new TestSink();
  const run = createAttemptChat(tools, upstream)(grant, createTestAsk(), call, sink);
  return { run, sink, call, breakers };
}

describe("an answer that a budget has no more for", () => {
  it("ends with its length, without what was not covered", async () => {
    const quota = new TestQuota(8);
    const { run, sink, call, breakers } = ask(quota, says("one ", "two ", "six ", "ten "));
    const outcome = await run;
    expect(outcome.finish).toMatchObject({ reason: FinishReason.LENGTH, raw: "weir_quota" });
    expect(sink.events).toEqual(["one ", "two ", "choiceFinished"]);
    expect(quota.settled).toEqual([partial]);
    expect(call.trail.clampedBy).toBe("policies/p");
    expect(call.trail.attempts.map(({ errorReason }) => errorReason)).toEqual([""]);
    expect(breakers.of("a").state).toBe("closed");
  });

  it("ends so also where the upstream does not hear that it shall stop", async () => {
    const quota = new TestQuota(4);
    const script: Script = async (sink) => {
      sink.chunk(createTextChunk("one "));
      sink.chunk(createTextChunk("two "));
      sink.chunk(createTextChunk("six "), true);
      return end;
    };
    const { run, sink } = ask(quota, script);
    expect((await run).finish.raw).toBe("weir_quota");
    expect(sink.events).toEqual(["one ", "choiceFinished"]);
    expect(quota.settled).toEqual([end.usage]);
  });

  it("is a refusal where nothing has flowed yet", async () => {
    const quota = new TestQuota(3);
    const { run, sink } = ask(quota, says("one "));
    await expect(run).rejects.toMatchObject({
      reason: "BUDGET_EXHAUSTED",
      details: { metadata: { policy: "policies/p" } },
    });
    expect(sink.events).toEqual([]);
    expect(quota.settled).toEqual([partial]);
  });

  it("waits while the ledger is asked for more, and goes on", async () => {
    const quota = new TestQuota(4);
    const ledger = Promise.withResolvers<number>();
    quota.later = ledger.promise;
    const { run, sink } = ask(quota, says("one ", "two ", "six "));
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    expect(sink.events).toEqual(["one "]);
    ledger.resolve(100);
    expect((await run).finish.raw).toBe("stop");
    expect(sink.events).toEqual(["one ", "two ", "six "]);
  });

  it("is an error as any other where the caller left before", async () => {
    const quota = new TestQuota(4);
    const script: Script = async (sink, attempt) => {
      sink.chunk(createTextChunk("one "));
      call.cancellation.cancel(new MeshError("CALLER_GONE", "gone"));
      sink.chunk(createTextChunk("two "));
      attempt.cancellation.throwIfCancelled();
      return end;
    };
    const { run, call } = ask(quota, (sink, attempt) =>
      Promise.resolve().then(() => script(sink, attempt)),
    );
    await expect(run).rejects.toMatchObject({ reason: "CALLER_GONE" });
  });
});
