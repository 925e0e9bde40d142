import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ProviderSchema } from "../../gen/weir/admin/v1/provider_pb.ts";
import { ChatSchema, FinishReason, Role } from "../../gen/weir/v1/chat_pb.ts";
import { EmbedRequestSchema } from "../../gen/weir/v1/embed_service_pb.ts";
import { createChatAsk, createEmbedAsk } from "../dialects/typed-ask.ts";
import { Cancellation } from "../mesh/cancellation.ts";
import type { ChatChunk } from "../mesh/chunk.ts";
import { createSeededRandom } from "../mesh/random.ts";
import type { Target } from "../mesh/target.ts";
import type { Attempt } from "../mesh/upstream.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createSimUpstream } from "./upstream.ts";

describe("createSimUpstream()", () => {
  it("answers whole in one chunk when no stream was asked for", async () => {
    const trial = start("echo", { stream: false });
    const end = await trial.done;
    expect(trial.chunks).toHaveLength(1);
    expect(trial.text()).toBe("hello weir");
    expect(trial.chunks[0]?.answer?.().choices[0]?.message?.parts[0]?.part.value).toMatchObject({
      text: "hello weir",
    });
    expect(end).toMatchObject({
      finish: { reason: FinishReason.STOP },
      usage: { inputTokens: 3, outputTokens: 3 },
    });
  });

  it("streams in one burst, an event a token, when no pace was asked for", async () => {
    const trial = start("text");
    await trial.done;
    expect(trial.chunks).toHaveLength(1);
    expect(trial.events()).toHaveLength(65);
    expect(trial.attempt.partial).toBeUndefined();
  });

  it("keeps to the pace: the first token after ttft_ms, then tps tokens a second", async () => {
    const trial = start("text?ttft_ms=100&tps=10&tokens=3");
    await trial.clock.advance(99);
    expect(trial.opened).toEqual([200]);
    expect(trial.chunks).toHaveLength(0);
    await trial.clock.advance(1);
    expect(trial.chunks).toHaveLength(1);
    await trial.clock.advance(99);
    expect(trial.chunks).toHaveLength(1);
    await trial.clock.advance(101);
    await trial.done;
    expect(trial.chunks).toHaveLength(3);
  });

  it("keeps headers back with slow_headers", async () => {
    const trial = start("text?fault=slow_headers&ttft_ms=50");
    await trial.clock.advance(49);
    expect(trial.opened).toEqual([]);
    await trial.clock.advance(1);
    await trial.done;
    expect(trial.opened).toEqual([200]);
  });

  it("stops for a sink that is behind until it is ready", async () => {
    const trial = start("text?tps=1000&tokens=5", { behind: true });
    await trial.clock.advance(1000);
    expect(trial.chunks).toHaveLength(1);
    trial.release();
    await trial.clock.advance(1000);
    await trial.done;
    expect(trial.text()).toHaveLength(20);
  });

  it("stops at once when cancelled, with what was produced so far", async () => {
    const trial = start("text?tps=10&tokens=100");
    await trial.clock.advance(1000);
    const cause = new Error("gone");
    trial.attempt.cancellation.cancel(cause);
    await expect(trial.done).rejects.toBe(cause);
    const sent = trial.chunks.length;
    expect(trial.attempt.partial).toMatchObject({ outputTokens: sent, estimated: true });
    await trial.clock.advance(5000);
    expect(trial.chunks).toHaveLength(sent);
  });

  it("stalls until cancelled", async () => {
    for (const model of ["text?fault=stall", "text?fault=stall&fault_after=2"]) {
      const trial = start(model);
      await trial.clock.advance(3_600_000);
      const cause = new Error("enough");
      trial.attempt.cancellation.cancel(cause);
      await expect(trial.done).rejects.toBe(cause);
    }
  });

  const faults: Array<[string, string, number[]]> = [
    ["status:503", "UPSTREAM_FAILED", [503]],
    ["status:429", "UPSTREAM_RATE_LIMITED", [429]],
    ["status:401", "UPSTREAM_CREDENTIAL", [401]],
    ["status:422", "UPSTREAM_REFUSED", [422]],
    ["refuse", "UPSTREAM_FAILED", []],
    ["reset", "UPSTREAM_FAILED", []],
    ["half_frame", "UPSTREAM_GARBLED", [200]],
    ["garbage", "UPSTREAM_GARBLED", [200]],
    ["error_event", "UPSTREAM_FAILED", [200]],
    ["context_length", "CONTEXT_TOO_LONG", [400]],
    ["content_filter", "CONTENT_BLOCKED", [400]],
  ];
  for (const [fault, reason, opened] of faults) {
    it(`fails by ${fault} as ${reason}, before any content`, async () => {
      for (const stream of [true, false]) {
        const trial = start(`text?fault=${fault}`, { stream });
        await expect(trial.done).rejects.toMatchObject({ reason });
        expect(trial.opened).toEqual(opened);
        expect(trial.chunks).toHaveLength(0);
      }
    });
  }

  it("breaks after fault_after tokens and says what was produced", async () => {
    const trial = start("text?fault=reset&fault_after=10");
    await expect(trial.done).rejects.toMatchObject({ reason: "UPSTREAM_FAILED" });
    expect(trial.text()).toHaveLength(40);
    expect(trial.attempt.partial).toMatchObject({
      inputTokens: 3,
      outputTokens: 10,
      estimated: true,
    });
  });

  it("leaves nothing to bill when it refuses", async () => {
    const trial = start("text?fault=status:500");
    await expect(trial.done).rejects.toThrow();
    expect(trial.attempt.partial).toBeUndefined();
  });

  it("says when to come back", async () => {
    const trial = start("text?fault=status:429&retry_after_s=7");
    await expect(trial.done).rejects.toMatchObject({ details: { retryAfterMs: 7000 } });
  });

  it("meets a fault as often as fault_rate says, the same with the same seed", async () => {
    const random = createSeededRandom(3);
    let failed = 0;
    for (let i = 0; i < 400; i++) {
      await start("echo?fault=status:503&fault_rate=0.25", { random }).done.catch(() => failed++);
    }
    expect(failed).toBeGreaterThan(70);
    expect(failed).toBeLessThan(130);
  });

  it("ends in content_filter in the middle, or without usage, when told so", async () => {
    const filtered = start("text?fault=content_filter&fault_after=5");
    expect((await filtered.done).finish.reason).toBe(FinishReason.CONTENT_FILTER);
    expect(filtered.text()).toHaveLength(20);
    expect((await start("text?fault=no_usage").done).usage).toBeUndefined();
  });

  it("answers ten megabytes", async () => {
    const trial = start("text?fault=huge");
    await trial.done;
    expect(trial.text()).toHaveLength(10 * 1024 * 1024);
    expect(trial.chunks.length).toBeGreaterThan(10);
  });

  it("counts a prompt", async () => {
    const { attempt, target, ask } = start("echo");
    const upstream = createSimUpstream(new VirtualClock(), createSeededRandom(1));
    expect(await upstream.countTokens(target, ask, attempt)).toBe(3);
  });

  it("embeds", async () => {
    const { attempt } = start("echo");
    const request = create(EmbedRequestSchema, {
      inputs: [{ input: { case: "text", value: "weir" } }],
    });
    const upstream = createSimUpstream(new VirtualClock(), createSeededRandom(1));
    const vectors = await upstream.embed(
      createTarget("embed"),
      createEmbedAsk(request, 4),
      attempt,
    );
    expect(vectors.response().embeddings[0]?.values).toHaveLength(256);
    expect(vectors.usage?.inputTokens).toBe(1);
  });
});

describe("a cap of output tokens", () => {
  const count = async (model: string, options: TrialOptions) => {
    const trial = start(model, options);
    const { usage, finish } = await trial.done;
    return [(usage?.outputTokens ?? 0) + (usage?.reasoningTokens ?? 0), finish.reason];
  };
  const tools = [
    { tool: { case: "function", value: { name: "look", parametersSchema: "" } } },
  ] as const;

  it("cuts an answer, whatever the request says", async () => {
    for (const chat of [{}, { sampling: { maxTokens: 90 } }, { sampling: { maxTokens: -1 } }]) {
      const trial = count("text?tokens=100", { outputTokensMax: 7, chat });
      expect(await trial).toEqual([7, FinishReason.LENGTH]);
    }
  });

  it("leaves a lower limit", async () => {
    const chat = { sampling: { maxTokens: 3 } };
    expect(await count("text", { outputTokensMax: 7, chat })).toEqual([3, FinishReason.LENGTH]);
  });

  it("holds for thoughts and for calls of tools", async () => {
    const [thought] = await count("text?reasoning_tokens=50", { outputTokensMax: 20 });
    expect(thought).toBe(20);
    const whole = await count("text?tool_calls=9", { chat: { tools: [...tools] } });
    expect(whole).toEqual([expect.any(Number), FinishReason.TOOL_CALLS]);
    const [called, reason] = await count("text?tool_calls=9", {
      outputTokensMax: 5,
      chat: { tools: [...tools] },
    });
    expect(called).toBeLessThanOrEqual(5);
    expect(reason).toBe(FinishReason.LENGTH);
  });
});

interface TrialOptions {
  readonly stream?: boolean;
  readonly behind?: boolean;
  readonly random?: ReturnType<typeof createSeededRandom>;
  readonly outputTokensMax?: number;
  readonly chat?: MessageInitShape<typeof ChatSchema>;
}

function start(model: string, options: TrialOptions = {}) {
  const clock = new VirtualClock();
  const chunks: ChatChunk[] = [];
  const opened: number[] = [];
  const gate = Promise.withResolvers<void>();
  let behind = options.behind ?? false;
  const attempt: Attempt = {
    requestId: "req_1",
    cancellation: new Cancellation(),
    warnings: [],
    partial: undefined,
    sent: false,
    outputTokensMax: options.outputTokensMax,
    opened: (status) => opened.push(status),
  };
  const sink = {
    chunk: (chunk: ChatChunk) => {
      chunks.push(chunk);
      return !behind;
    },
    ready: () => gate.promise,
  };
  const part = { part: { case: "text" as const, value: { text: "hello weir" } } };
  const chat = create(ChatSchema, {
    messages: [{ role: Role.USER, parts: [part] }],
    ...options.chat,
  });
  const ask = createChatAsk(chat, options.stream ?? true, 20);
  const target = createTarget(model);
  const upstream = createSimUpstream(clock, options.random ?? createSeededRandom(1));
  const done = upstream.chat(target, ask, sink, attempt);
  // A trial whose end nobody awaits must not end the test run.
  done.catch(() => {});
  const events = () => chunks.flatMap((chunk) => chunk.events());
  const text = () =>
    events()
      .map((event) => (event.case === "textDelta" ? event.value.text : ""))
      .join("");
  const release = () => {
    behind = false;
    gate.resolve();
  };
  return { clock, chunks, opened, attempt, target, ask, done, events, text, release };
}

function createTarget(upstreamModel: string): Target {
  return {
    id: `providers/sim/${upstreamModel}`,
    model: "sim/any",
    provider: {
      name: "providers/sim",
      dialect: "sim",
      baseUrls: [],
      secret: undefined,
      fault: undefined,
      resource: create(ProviderSchema, { name: "providers/sim", dialect: "sim" }),
    },
    upstreamModel,
    weight: 1,
    priority: 0,
    overrides: undefined,
    headers: {},
    price: undefined,
    capabilities: undefined,
    outputTokensMax: undefined,
  };
}
