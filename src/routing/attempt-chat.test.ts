import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ModelSchema } from "../../gen/weir/admin/v1/model_pb.ts";
import { RequestRecord_Kind } from "../../gen/weir/admin/v1/record_pb.ts";
import { FinishReason } from "../../gen/weir/v1/chat_pb.ts";
import {
  createTestAsk,
  createTestCall,
  createTestGrant,
  createTextChunk,
} from "../../test/support/calls.ts";
import { createTestLeg, createTestTarget } from "../../test/support/targets.ts";
import type { ChatChunk } from "../mesh/chunk.ts";
import { MeshError } from "../mesh/errors.ts";
import { createSeededRandom } from "../mesh/random.ts";
import { createRecord } from "../mesh/record.ts";
import type { ChatSink } from "../mesh/sink.ts";
import type { Target } from "../mesh/target.ts";
import type { Attempt, Upstream, UpstreamEnd, UpstreamSink } from "../mesh/upstream.ts";
import { createUsage } from "../mesh/usage.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createAttemptChat } from "./attempt-chat.ts";
import { Breakers } from "./breaker.ts";

type Script = (sink: UpstreamSink, attempt: Attempt) => Promise<UpstreamEnd>;

/** Everything that a chat meets, with an upstream that plays a script for each target. */
function createHouse(scripts: Readonly<Record<string, Script>>) {
  const clock = new VirtualClock();
  const calls: string[] = [];
  const upstream: Upstream = {
    chat: (target, _ask, sink, attempt) => {
      calls.push(target.id);
      const script = scripts[target.id];
      if (script === undefined) throw new Error(`no script for ${target.id}`);
      return script(sink, attempt);
    },
    embed: () => Promise.reject(new Error("not scripted")),
    countTokens: () => Promise.resolve(undefined),
  };
  const breakers = new Breakers(clock);
  const quota = { begin: () => expect.fail("nothing limits these calls") };
  const tools = { clock, random: createSeededRandom(1), breakers, quota };
  return { clock, calls, breakers, attemptChat: createAttemptChat(tools, upstream) };
}

class TestSink implements ChatSink {
  starts = 0;
  readonly chunks: ChatChunk[] = [];
  behind: Promise<void> | undefined;

  start(): void {
    this.starts += 1;
  }

  readonly lasts: boolean[] = [];

  chunk(chunk: ChatChunk, last = false): boolean {
    this.chunks.push(chunk);
    this.lasts.push(last);
    return this.behind === undefined;
  }

  async ready(): Promise<void> {
    await this.behind;
  }

  get text(): string {
    const events = this.chunks.flatMap((chunk) => chunk.events());
    return events.map((event) => (event.case === "textDelta" ? event.value.text : "")).join("");
  }
}

const end: UpstreamEnd = {
  finish: {
    $typeName: "weir.v1.Finish",
    reason: FinishReason.STOP,
    raw: "stop",
    stopSequence: "",
  },
  usage: createUsage({ inputTokens: 10, outputTokens: 5 }),
  upstreamId: "up-1",
  modelVersion: "",
};

function answers(...texts: string[]): Script {
  return async (sink) => {
    for (const text of texts) sink.chunk(createTextChunk(text));
    return end;
  };
}

function fails(reason: ConstructorParameters<typeof MeshError>[0], after: string[] = []): Script {
  return async (sink) => {
    for (const text of after) sink.chunk(createTextChunk(text));
    throw new MeshError(reason, "scripted");
  };
}

/** Says nothing more until it is cancelled. */
function stalls(...texts: string[]): Script {
  return (sink, attempt) => {
    for (const text of texts) sink.chunk(createTextChunk(text));
    return new Promise((_resolve, reject) => {
      attempt.cancellation.onCancel((cause) => reject(cause));
    });
  };
}

function chain(...ids: string[]): Target[] {
  return ids.map((id, priority) => createTestTarget({ id, upstreamModel: id, priority }));
}

describe("attemptChat()", () => {
  it("falls back to the next target when the first fails before content", async () => {
    const house = createHouse({ a: fails("UPSTREAM_FAILED", ["", ""]), b: answers("hi") });
    const sink = new TestSink();
    const call = createTestCall(house.clock);
    const grant = createTestGrant([createTestLeg(chain("a", "b"))]);
    const outcome = await house.attemptChat(grant, createTestAsk(), call, sink);
    expect(sink.text).toBe("hi");
    expect(sink.starts).toBe(1);
    expect(outcome.decision.upstreamModel).toBe("b");
    expect(outcome.decision.attempts).toBe(2);
    expect(call.trail.attempts.map((each) => each.errorReason)).toEqual(["UPSTREAM_FAILED", ""]);
  });

  it("tries nothing else once content has flowed", async () => {
    const house = createHouse({ a: fails("UPSTREAM_FAILED", ["some"]), b: answers("other") });
    const sink = new TestSink();
    const grant = createTestGrant([createTestLeg(chain("a", "b"))]);
    const run = house.attemptChat(grant, createTestAsk(), createTestCall(house.clock), sink);
    await expect(run).rejects.toMatchObject({ reason: "UPSTREAM_FAILED" });
    expect(house.calls).toEqual(["a"]);
    expect(sink.text).toBe("some");
  });

  it("says which chunk is the last, held back or not", async () => {
    const house = createHouse({
      a: async (sink) => {
        sink.chunk(createTextChunk(""));
        sink.chunk(createTextChunk("all"), true);
        return end;
      },
    });
    const sink = new TestSink();
    const grant = createTestGrant([createTestLeg(chain("a"))]);
    await house.attemptChat(grant, createTestAsk(), createTestCall(house.clock), sink);
    expect(sink.lasts).toEqual([false, true]);
  });

  it("starts the sink for a complete answer without content", async () => {
    const house = createHouse({ a: answers("") });
    const sink = new TestSink();
    const grant = createTestGrant([createTestLeg(chain("a"))]);
    await house.attemptChat(grant, createTestAsk(), createTestCall(house.clock), sink);
    expect(sink.starts).toBe(1);
  });

  for (const reason of ["UPSTREAM_REFUSED", "CONTEXT_TOO_LONG", "CONTENT_BLOCKED"] as const) {
    it(`asks no other target of the same model after ${reason}`, async () => {
      const house = createHouse({ a: fails(reason), b: answers("hi") });
      const grant = createTestGrant([createTestLeg(chain("a", "b"))]);
      const call = createTestCall(house.clock);
      const run = house.attemptChat(grant, createTestAsk(), call, new TestSink());
      await expect(run).rejects.toMatchObject({ reason });
      expect(house.calls).toEqual(["a"]);
    });
  }

  it("goes on with a fallback model whatever the failure", async () => {
    const house = createHouse({ a: fails("UPSTREAM_REFUSED"), f: answers("from f") });
    const fallback = createTestLeg(chain("f"), { name: "other", after: "any" });
    const grant = createTestGrant([createTestLeg(chain("a")), fallback]);
    const call = createTestCall(house.clock);
    const outcome = await house.attemptChat(grant, createTestAsk(), call, new TestSink());
    expect(outcome.decision.model).toBe("other");
  });

  it("takes a context-window fallback for that failure only", async () => {
    for (const [reason, expected] of [
      ["CONTEXT_TOO_LONG", ["a", "long"]],
      ["UPSTREAM_FAILED", ["a"]],
    ] as const) {
      const house = createHouse({ a: fails(reason), long: answers("long") });
      const fallback = createTestLeg(chain("long"), { name: "l", after: "context_window" });
      const grant = createTestGrant([createTestLeg(chain("a")), fallback]);
      const call = createTestCall(house.clock);
      await house.attemptChat(grant, createTestAsk(), call, new TestSink()).catch(() => {});
      expect(house.calls).toEqual(expected);
    }
  });

  it("tries the same target again as often as the model says", async () => {
    const house = createHouse({ a: fails("UPSTREAM_FAILED") });
    const model = create(ModelSchema, { retriesPerTarget: 2 });
    const grant = createTestGrant([createTestLeg(chain("a"), { model })]);
    const call = createTestCall(house.clock);
    const run = house.attemptChat(grant, createTestAsk(), call, new TestSink());
    const failed = expect(run).rejects.toMatchObject({ reason: "UPSTREAM_FAILED" });
    await house.clock.advance(10_000);
    await failed;
    expect(house.calls).toEqual(["a", "a", "a"]);
  });

  it("gives up on a target that sends no first token in time", async () => {
    const house = createHouse({ a: stalls(""), b: answers("b") });
    const model = create(ModelSchema, { timeouts: { firstToken: { seconds: 2n } } });
    const grant = createTestGrant([createTestLeg(chain("a", "b"), { model })]);
    const sink = new TestSink();
    const run = house.attemptChat(grant, createTestAsk(), createTestCall(house.clock), sink);
    await house.clock.advance(1_999);
    expect(house.calls).toEqual(["a"]);
    await house.clock.advance(1);
    await run;
    expect(sink.text).toBe("b");
  });

  it("does not end a whole answer for being longer in coming than a first token", async () => {
    const house = createHouse({ a: stalls() });
    const model = create(ModelSchema, {
      timeouts: { firstToken: { seconds: 2n }, total: { seconds: 90n } },
    });
    const grant = createTestGrant([createTestLeg(chain("a"), { model })]);
    const ask = { ...createTestAsk(), stream: false };
    let ended = false;
    const run = house
      .attemptChat(grant, ask, createTestCall(house.clock), new TestSink())
      .finally(() => {
        ended = true;
      });
    const failed = expect(run).rejects.toMatchObject({ reason: "UPSTREAM_TIMEOUT" });
    await house.clock.advance(89_999);
    expect(ended).toBe(false);
    await house.clock.advance(1);
    await failed;
  });

  it("ends a stream that falls silent after content", async () => {
    const house = createHouse({ a: stalls("begin") });
    const model = create(ModelSchema, { timeouts: { idle: { seconds: 3n } } });
    const grant = createTestGrant([createTestLeg(chain("a"), { model })]);
    const call = createTestCall(house.clock);
    const run = house.attemptChat(grant, createTestAsk(), call, new TestSink());
    const failed = expect(run).rejects.toMatchObject({ reason: "UPSTREAM_TIMEOUT" });
    await house.clock.advance(3_000);
    await failed;
    expect(call.trail.attempts[0]?.detail).toContain("idle");
  });

  it("does not blame the upstream for a caller who reads slowly", async () => {
    const sink = new TestSink();
    let release = (): void => {};
    sink.behind = new Promise((resolve) => {
      release = resolve;
    });
    const house = createHouse({
      a: async (upstreamSink) => {
        if (!upstreamSink.chunk(createTextChunk("x"))) await upstreamSink.ready();
        return end;
      },
    });
    const model = create(ModelSchema, { timeouts: { idle: { seconds: 1n } } });
    const grant = createTestGrant([createTestLeg(chain("a"), { model })]);
    const run = house.attemptChat(grant, createTestAsk(), createTestCall(house.clock), sink);
    await house.clock.advance(60_000);
    release();
    await expect(run).resolves.toMatchObject({ usage: { outputTokens: 5 } });
  });

  it("passes a caller's leaving on to the upstream, and tries nothing else", async () => {
    const house = createHouse({ a: stalls("x"), b: answers("b") });
    const call = createTestCall(house.clock);
    const grant = createTestGrant([createTestLeg(chain("a", "b"))]);
    const run = house.attemptChat(grant, createTestAsk(), call, new TestSink());
    const failed = expect(run).rejects.toMatchObject({ reason: "CALLER_GONE" });
    call.cancellation.cancel(new MeshError("CALLER_GONE", "gone"));
    await failed;
    expect(house.calls).toEqual(["a"]);
    expect(house.breakers.of("a").state).toBe("closed");
  });

  it("keeps the caller's deadline", async () => {
    const house = createHouse({ a: stalls() });
    const call = createTestCall(house.clock, { deadlineMs: 5_000 });
    const grant = createTestGrant([createTestLeg(chain("a"))]);
    const run = house.attemptChat(grant, createTestAsk(), call, new TestSink());
    const failed = expect(run).rejects.toMatchObject({ reason: "DEADLINE_EXCEEDED" });
    await house.clock.advance(5_000);
    await failed;
  });

  it("bills failed attempts too: usage and cost are those of all", async () => {
    const house = createHouse({
      a: async (_sink, attempt) => {
        attempt.partial = createUsage({ inputTokens: 7, estimated: true });
        throw new MeshError("UPSTREAM_FAILED", "scripted");
      },
      b: answers("hi"),
    });
    const call = createTestCall(house.clock);
    const grant = createTestGrant([createTestLeg(chain("a", "b"))]);
    await house.attemptChat(grant, createTestAsk(), call, new TestSink());
    expect(call.trail.usage).toMatchObject({ inputTokens: 17, outputTokens: 5, estimated: true });
    expect(call.trail.cost?.costNanoUsd).toBe(22_000n);
  });

  it("keeps the sum of attempts positive when vendors count as high as they can", async () => {
    const most = 2_147_483_647;
    const house = createHouse({
      a: async (_sink, attempt) => {
        attempt.partial = createUsage({ inputTokens: most, outputTokens: most });
        throw new MeshError("UPSTREAM_FAILED", "scripted");
      },
      b: answers("hi"),
    });
    const call = createTestCall(house.clock);
    const grant = createTestGrant([createTestLeg(chain("a", "b"))]);
    await house.attemptChat(grant, createTestAsk(), call, new TestSink());
    expect(call.trail.usage).toMatchObject({ inputTokens: most, outputTokens: most });
  });

  it("tells who charged for a request that nobody answered", async () => {
    const house = createHouse({
      a: async (_sink, attempt) => {
        attempt.partial = createUsage({ inputTokens: 7, estimated: true });
        throw new MeshError("UPSTREAM_REFUSED", "scripted");
      },
    });
    const call = createTestCall(house.clock);
    const ask = createTestAsk();
    const grant = createTestGrant([createTestLeg(chain("a"))]);
    await house.attemptChat(grant, ask, call, new TestSink()).catch(() => {});
    const { principal, revision } = grant;
    const kind = RequestRecord_Kind.CHAT;
    const facts = { kind, call, ask, principal, revision, error: undefined, clock: house.clock };
    expect(createRecord(facts)).toMatchObject({
      model: "test/model",
      provider: "providers/test",
      upstreamModel: "a",
      costNanoUsd: 7_000n,
    });
  });

  it("takes a target out after five failures and leaves the last one in", async () => {
    const house = createHouse({ a: fails("UPSTREAM_FAILED"), b: answers("b") });
    const grant = createTestGrant([createTestLeg(chain("a", "b"))]);
    for (let i = 0; i < 8; i++) {
      const call = createTestCall(house.clock);
      await house.attemptChat(grant, createTestAsk(), call, new TestSink());
    }
    expect(house.calls.filter((id) => id === "a")).toHaveLength(5);
    const alone = createTestGrant([createTestLeg(chain("a"))]);
    const call = createTestCall(house.clock);
    const run = house.attemptChat(alone, createTestAsk(), call, new TestSink());
    await expect(run).rejects.toMatchObject({ reason: "UPSTREAM_FAILED" });
  });

  it("prefers a target with capacity, and hands on when the vendor says to come back", async () => {
    const house = createHouse({
      a: async () => {
        throw new MeshError("UPSTREAM_RATE_LIMITED", "scripted", { retryAfterMs: 7_000 });
      },
    });
    const grant = createTestGrant([createTestLeg(chain("a"))]);
    const call = createTestCall(house.clock);
    const run = house.attemptChat(grant, createTestAsk(), call, new TestSink());
    await expect(run).rejects.toMatchObject({ details: { retryAfterMs: 7_000 } });
    expect(house.breakers.of("a").blocked).toBe(true);
    expect(house.breakers.of("a").state).toBe("closed");
  });

  it("says why when there is nothing to try", async () => {
    const house = createHouse({});
    const excluded = [
      {
        $typeName: "weir.admin.v1.ExcludedTarget" as const,
        provider: "providers/x",
        upstreamModel: "m",
        reason: "the provider is disabled",
      },
    ];
    const grant = createTestGrant([createTestLeg([], { excluded })]);
    const call = createTestCall(house.clock);
    const run = house.attemptChat(grant, createTestAsk(), call, new TestSink());
    await expect(run).rejects.toMatchObject({
      reason: "NO_TARGET",
      details: { metadata: { excluded_by: "the provider is disabled" } },
    });
    expect(call.trail.excluded).toEqual(excluded);
  });
});
