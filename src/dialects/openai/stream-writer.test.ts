import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { DecisionSchema, FinishReason, Role } from "../../../gen/weir/v1/chat_pb.ts";
import {
  type CreateChatResponse,
  CreateChatResponseSchema,
} from "../../../gen/weir/v1/chat_service_pb.ts";
import { CostSchema } from "../../../gen/weir/v1/usage_pb.ts";
import type { ChatEvent } from "../../mesh/chunk.ts";
import { MeshError } from "../../mesh/errors.ts";
import { AnswerFold, explodeAnswer } from "../../mesh/fold.ts";
import type { Outcome } from "../../mesh/outcome.ts";
import { createUsage } from "../../mesh/usage.ts";
import { createChatAsk } from "../typed-ask.ts";
import { readChatAsk } from "./chat-ask.ts";
import { openaiCompletions } from "./completions.ts";
import { createStreamReader } from "./stream-reader.ts";
import { ChunkWriter } from "./stream-writer.ts";
import { writeAnswer } from "./write-answer.ts";

const decision = create(DecisionSchema, { requestId: "req_1", model: "gpt", provider: "p" });
const usage = createUsage({
  inputTokens: 5,
  cacheReadTokens: 4,
  outputTokens: 3,
  reasoningTokens: 2,
});

const outcome: Outcome = {
  decision,
  finish: { $typeName: "weir.v1.Finish", reason: FinishReason.STOP, raw: "", stopSequence: "" },
  usage,
  cost: create(CostSchema, { costNanoUsd: 1_500_000n, known: true }),
  firstTokenMs: 1,
  latencyMs: 2,
};

const body = {
  model: "gpt",
  stream: true,
  stream_options: { include_usage: true },
  messages: [{ role: "user", content: "hi" }],
};
const ask = readChatAsk(body, 1);

const answer: CreateChatResponse = create(CreateChatResponseSchema, {
  choices: [
    {
      index: 0,
      message: {
        role: Role.ASSISTANT,
        parts: [
          { part: { case: "reasoning", value: { text: "hm", signature: "proof" } } },
          {
            part: {
              case: "text",
              value: { text: 'say "é\n"', citations: [{ uri: "https://x", title: "X" }] },
            },
          },
          {
            part: { case: "toolCall", value: { id: "t1", name: "f", arguments: '{"a":1}' } },
          },
          {
            part: {
              case: "toolCall",
              value: { id: "t2", name: "g", arguments: "raw", custom: true },
            },
          },
        ],
      },
      finish: { reason: FinishReason.TOOL_CALLS, raw: "tool_use" },
      logprobs: [{ chosen: { token: "say", logprob: -0.5 } }],
    },
    {
      index: 1,
      message: {
        role: Role.ASSISTANT,
        parts: [{ part: { case: "refusal", value: { text: "no" } } }],
      },
      finish: { reason: FinishReason.STOP, raw: "stop" },
    },
  ],
});

function write(events: readonly ChatEvent[], writer = new ChunkWriter(ask)): string {
  return (
    writer.start(decision, 1_700_000_000_000) + writer.events(events) + writer.end(outcome, false)
  );
}

/** OpenAI's own client, answered by `text`. */
function clientOf(text: string): OpenAI {
  const answerWith = (): Promise<Response> =>
    Promise.resolve(new Response(text, { headers: { "content-type": "text/event-stream" } }));
  return new OpenAI({ apiKey: "x", baseURL: "http://x/v1", fetch: answerWith, maxRetries: 0 });
}

const asked = {
  model: "gpt",
  stream: true as const,
  messages: [{ role: "user" as const, content: "hi" }],
};

describe("ChunkWriter", () => {
  it("is understood by OpenAI's client", async () => {
    const runner = clientOf(write(explodeAnswer(answer))).chat.completions.stream(asked);
    const completion = await runner.finalChatCompletion();
    const [first, second] = completion.choices;
    expect(completion).toMatchObject({
      id: "chatcmpl-req_1",
      object: "chat.completion",
      created: 1_700_000_000,
      model: "gpt",
      usage: {
        prompt_tokens: 9,
        completion_tokens: 5,
        total_tokens: 14,
        prompt_tokens_details: { cached_tokens: 4 },
        completion_tokens_details: { reasoning_tokens: 2 },
        cost: 0.0015,
      },
    });
    expect(first?.message).toMatchObject({ role: "assistant", content: 'say "é\n"' });
    expect(first?.finish_reason).toBe("tool_calls");
    expect(first?.logprobs?.content?.[0]).toMatchObject({ token: "say", logprob: -0.5 });
    expect(first?.message.tool_calls?.[0]).toMatchObject({
      id: "t1",
      type: "function",
      function: { name: "f", arguments: '{"a":1}' },
    });
    expect(second?.message).toMatchObject({ role: "assistant", content: null, refusal: "no" });
  });

  it("writes usage only when it was asked for", () => {
    const silent = new ChunkWriter(createChatAsk(ask.chat(), true, 1));
    expect(write([], silent)).not.toContain("usage");
    expect(write([])).toContain('"choices":[],"usage":{"prompt_tokens":9');
  });

  it("says who speaks once for each choice", () => {
    const text = write(explodeAnswer(answer));
    expect(text.match(/"role":"assistant"/g)).toHaveLength(2);
  });

  it("finishes an answer that said nothing", () => {
    expect(write([])).toContain('"delta":{"role":"assistant","content":"","refusal":null}');
    expect(write([])).toContain('"finish_reason":"stop"');
  });

  it("adds only [DONE] to what was passed through", () => {
    expect(new ChunkWriter(ask).end(outcome, true)).toBe("data: [DONE]\n\n");
  });

  it("ends a broken stream with an error that OpenAI's client throws, and without [DONE]", async () => {
    const writer = new ChunkWriter(ask);
    const error = new MeshError("UPSTREAM_FAILED", "The upstream failed.");
    const text =
      writer.start(decision) + writer.events(explodeAnswer(answer)) + writer.error(error, "r");
    expect(text).not.toContain("[DONE]");
    expect(text).toContain('"finish_reason":"error"');
    const stream = await clientOf(text).chat.completions.create(asked);
    const drain = async (): Promise<void> => {
      for await (const _ of stream);
    };
    await expect(drain()).rejects.toMatchObject({ code: "upstream_failed", type: "server_error" });
  });

  it("writes what the stream reader reads", () => {
    const pieces = fc.array(
      fc.oneof(
        fc.record({
          case: fc.constant("textDelta" as const),
          value: fc.record({
            $typeName: fc.constant("weir.v1.TextDelta" as const),
            choiceIndex: fc.nat(2),
            text: fc.string({ minLength: 1, unit: "grapheme" }),
          }),
        }),
        fc.record({
          case: fc.constant("refusalDelta" as const),
          value: fc.record({
            $typeName: fc.constant("weir.v1.RefusalDelta" as const),
            choiceIndex: fc.nat(2),
            text: fc.string({ minLength: 1 }),
          }),
        }),
      ),
    );
    fc.assert(
      fc.property(pieces, (events) => {
        const reader = createStreamReader(createChatAsk(ask.chat(), true, 1));
        const writer = new ChunkWriter(ask);
        const frames = Buffer.from(writer.start(decision) + writer.events(events));
        expect(reader.read(frames)?.events() ?? []).toEqual(events);
      }),
    );
  });

  it("writes all of an answer so that the reader finds it again", () => {
    const reader = createStreamReader(createChatAsk(ask.chat(), true, 1));
    const fold = new AnswerFold();
    for (const event of reader.read(Buffer.from(write(explodeAnswer(answer))))?.events() ?? []) {
      fold.add(event);
    }
    const again = writeAnswer(fold.response());
    const before = writeAnswer({ ...answer, decision });
    expect(again.choices).toEqual(before.choices);
    expect(reader.end().usage).toEqual({ ...usage, upstreamCostNanoUsd: 1_500_000n });
  });
});

describe("openaiCompletions", () => {
  it("asks a prompt as a user message", () => {
    const read = openaiCompletions.readAsk(
      { model: "m", prompt: ["hi"], max_tokens: 5, logprobs: 2 },
      1,
    );
    expect(read.dialect).toBe("weir");
    expect(read.chat()).toMatchObject({
      model: "m",
      messages: [{ role: Role.USER, parts: [{ part: { value: { text: "hi" } } }] }],
      sampling: { maxTokens: 5, logprobs: true, topLogprobs: 2 },
    });
    expect(read.parameters()).toEqual(["max_tokens", "logprobs", "top_logprobs"]);
  });

  const refused: Array<[object, string]> = [
    [{}, "prompt"],
    [{ prompt: ["a", "b"] }, "prompt"],
    [{ prompt: [1, 2] }, "prompt"],
    [{ prompt: [[1]] }, "prompt"],
    [{ prompt: "a", echo: true }, "echo"],
    [{ prompt: "a", suffix: "b" }, "suffix"],
    [{ prompt: "a", best_of: 3 }, "best_of"],
  ];
  for (const [fields, field] of refused) {
    it(`refuses ${JSON.stringify(fields)}`, () => {
      const run = () => openaiCompletions.readAsk({ model: "m", ...fields }, 1);
      expect(run).toThrow(expect.objectContaining({ details: { field } }));
    });
  }

  it("is understood by OpenAI's client, streamed and whole", async () => {
    const read = openaiCompletions.readAsk(
      { model: "m", prompt: "hi", stream: true, stream_options: { include_usage: true } },
      1,
    );
    const writer = openaiCompletions.createStreamWriter(read);
    const text =
      writer.start(decision) + writer.events(explodeAnswer(answer)) + writer.end(outcome, false);
    const stream = await clientOf(text).completions.create({
      model: "m",
      prompt: "hi",
      stream: true,
    });
    let words = "";
    let tokens = 0;
    for await (const chunk of stream) {
      expect(chunk.object).toBe("text_completion");
      words += chunk.choices[0]?.text ?? "";
      tokens = chunk.usage?.total_tokens ?? tokens;
    }
    expect(words).toBe('say "é\n"');
    expect(tokens).toBe(14);
    const whole = openaiCompletions.writeAnswer({ ...answer, decision, usage });
    expect(whole).toMatchObject({
      id: "cmpl-req_1",
      object: "text_completion",
      choices: [
        { text: 'say "é\n"', logprobs: { tokens: ["say"], text_offset: [0] } },
        { text: "", index: 1, finish_reason: "stop" },
      ],
    });
  });
});
