import Anthropic from "@anthropic-ai/sdk";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CacheState, type Finish, FinishReason } from "../../../gen/weir/v1/chat_pb.ts";
import { anyText } from "../../../test/support/any-text.ts";
import { createTestAsk } from "../../../test/support/calls.ts";
import type { ChatEvent } from "../../mesh/chunk.ts";
import { MeshError } from "../../mesh/errors.ts";
import { AnswerFold } from "../../mesh/fold.ts";
import type { Outcome } from "../../mesh/outcome.ts";
import { createUsage } from "../../mesh/usage.ts";
import { createStreamReader } from "./stream-reader.ts";
import { createStreamWriter } from "./stream-writer.ts";

const USAGE = createUsage({ inputTokens: 3, cacheReadTokens: 2, outputTokens: 5 });

function outcome(fields: Partial<Finish> = {}): Outcome {
  return {
    decision: {
      $typeName: "weir.v1.Decision",
      requestId: "req_abc",
      model: "some/model",
      provider: "",
      upstreamModel: "",
      attempts: 1,
      cache: CacheState.UNSPECIFIED,
      policyRevision: 1n,
      upstreamId: "chatcmpl-1",
      warnings: [],
      clampedBy: "",
      downgradedBy: "",
      unprovenBy: [],
    },
    finish: {
      $typeName: "weir.v1.Finish",
      reason: FinishReason.STOP,
      raw: "stop",
      stopSequence: "",
      ...fields,
    },
    usage: USAGE,
    cost: {
      $typeName: "weir.v1.Cost",
      costNanoUsd: 0n,
      inputNanoUsd: 0n,
      outputNanoUsd: 0n,
      known: false,
    },
    firstTokenMs: 1,
    latencyMs: 2,
  };
}

function say(text: string, choiceIndex = 0): ChatEvent {
  return { case: "textDelta", value: { $typeName: "weir.v1.TextDelta", choiceIndex, text } };
}

function think(text: string, signature = "", redacted = "", reasoningIndex = 0): ChatEvent {
  return {
    case: "reasoningDelta",
    value: {
      $typeName: "weir.v1.ReasoningDelta",
      choiceIndex: 0,
      text,
      signature,
      redacted,
      reasoningIndex,
    },
  };
}

function begin(toolCallIndex: number): ChatEvent {
  return {
    case: "toolCallStarted",
    value: {
      $typeName: "weir.v1.ToolCallStarted",
      choiceIndex: 0,
      toolCallIndex,
      id: `call_${toolCallIndex}`,
      name: "f",
      custom: false,
      signature: "",
    },
  };
}

function give(toolCallIndex: number, json: string): ChatEvent {
  return {
    case: "toolCallArgumentsDelta",
    value: {
      $typeName: "weir.v1.ToolCallArgumentsDelta",
      choiceIndex: 0,
      toolCallIndex,
      arguments: json,
    },
  };
}

function done(toolCallIndex: number): ChatEvent {
  return {
    case: "toolCallDone",
    value: { $typeName: "weir.v1.ToolCallDone", choiceIndex: 0, toolCallIndex },
  };
}

function write(events: readonly ChatEvent[], ending = outcome()): string {
  const writer = createStreamWriter(createTestAsk());
  let text = writer.start(ending.decision);
  for (const event of events) text += writer.events([event]);
  return text + writer.end(ending, false);
}

/** What Anthropic's own client makes of a stream. */
async function hear(sse: string): Promise<Anthropic.Message> {
  const client = new Anthropic({
    apiKey: "wk_test",
    maxRetries: 0,
    fetch: async () =>
      new Response(sse, { headers: { "content-type": "text/event-stream" }, status: 200 }),
  });
  const messages: Anthropic.MessageParam[] = [{ role: "user", content: "?" }];
  const stream = client.messages.stream({ model: "m", max_tokens: 9, messages });
  return await stream.finalMessage();
}

describe("createStreamWriter()", () => {
  it("writes what Anthropic's own client understands", async () => {
    const message = await hear(
      write(
        [
          ...[
            think("hm", ""),
            think("m", "sig"),
            think("", "", "enc", 1),
            say("Hel"),
            say("lo ü\n"),
          ],
          ...[begin(0), give(0, '{"a"'), give(0, ":1}"), done(0), begin(1), give(1, "{}"), done(1)],
        ],
        outcome({ reason: FinishReason.TOOL_CALLS, raw: "tool_calls" }),
      ),
    );
    expect(message.id).toBe("msg_abc");
    expect(message.model).toBe("some/model");
    expect(message.content).toEqual([
      { type: "thinking", thinking: "hmm", signature: "sig" },
      { type: "redacted_thinking", data: "enc" },
      { type: "text", text: "Hello ü\n" },
      { type: "tool_use", id: "call_0", name: "f", input: { a: 1 } },
      { type: "tool_use", id: "call_1", name: "f", input: {} },
    ]);
    expect(message.stop_reason).toBe("tool_use");
    expect(message.usage).toMatchObject({
      input_tokens: 3,
      cache_read_input_tokens: 2,
      output_tokens: 5,
    });
  });

  it("puts tool calls that go back and forth one after the other", async () => {
    const message = await hear(
      write([
        ...[begin(0), give(0, "{"), begin(1), give(1, '{"b"'), give(0, '"a":0'), say("after")],
        ...[give(1, ":1}"), done(1), give(0, "}"), done(0)],
      ]),
    );
    expect(message.content).toEqual([
      { type: "tool_use", id: "call_0", name: "f", input: { a: 0 } },
      { type: "tool_use", id: "call_1", name: "f", input: { b: 1 } },
      { type: "text", text: "after" },
    ]);
  });

  it("begins the next tool call when the arguments of the one before are whole", () => {
    const writer = createStreamWriter(createTestAsk());
    expect(writer.events([begin(0), give(0, '{"a":1}')])).not.toContain("call_1");
    expect(writer.events([begin(1)])).toContain("call_1");
    expect(writer.events([done(0), done(1)])).toContain('"content_block_stop","index":1');
  });

  it("says tool_use when tools were called, whatever the vendor's word", async () => {
    const message = await hear(write([begin(0), give(0, "{}")]));
    expect(message.stop_reason).toBe("tool_use");
  });

  it("writes the first of several answers", async () => {
    const message = await hear(write([say("one"), say("two", 1)]));
    expect(message.content).toEqual([{ type: "text", text: "one" }]);
  });

  it("shows what the vendor's tools did", async () => {
    const block = { type: "server_tool_use", id: "s", name: "web_search", input: { q: "x" } };
    const part = { $typeName: "weir.v1.VendorPart" as const, dialect: "anthropic", json: "" };
    const value = { $typeName: "weir.v1.VendorPartAdded" as const, choiceIndex: 0 };
    const added: ChatEvent = {
      case: "vendorPartAdded",
      value: { ...value, part: { ...part, json: JSON.stringify(block) } },
    };
    expect((await hear(write([added]))).content).toEqual([block]);
  });

  it("adds only the terminal frame to a stream that was passed through", () => {
    const writer = createStreamWriter(createTestAsk());
    expect(writer.end(outcome(), true)).toBe(
      'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    );
  });

  it("ends a broken stream with an error that Anthropic's client throws", async () => {
    const writer = createStreamWriter(createTestAsk());
    const error = new MeshError("UPSTREAM_FAILED", "The upstream failed. Try again.");
    const text = writer.start(outcome().decision) + writer.events([say("a")]);
    await expect(hear(text + writer.error(error, "req_abc"))).rejects.toThrow("upstream failed");
  });

  it("writes what the reader folds back, for any text and arguments", () => {
    const piece = fc.oneof(
      fc.string({ unit: "grapheme", minLength: 1 }).map((text) => say(text)),
      anyText({ minLength: 1 }).map((text) => say(text)),
      fc.string({ minLength: 1 }).map((text) => think(text, "s")),
    );
    fc.assert(
      fc.property(fc.array(piece), fc.jsonValue(), (pieces, value) => {
        const args = JSON.stringify({ value });
        const events = [...pieces, begin(0), give(0, args), done(0)];
        const reader = createStreamReader(createTestAsk());
        const read = reader.read(Buffer.from(write(events)))?.events() ?? [];
        const [before, after] = [fold(events), fold(read)];
        expect(after.text).toEqual(before.text);
        expect(after.args).toEqual(before.args);
      }),
    );
  });
});

/** A lone surrogate cannot travel as UTF-8; JSON escapes it. */
function fold(events: readonly ChatEvent[]) {
  const answer = new AnswerFold();
  for (const event of events) answer.add(event);
  const parts = answer.response().choices[0]?.message?.parts ?? [];
  const text = parts.map(({ part }) => (part.case === "text" ? part.value.text : "")).join("");
  const args = parts.flatMap(({ part }) =>
    part.case === "toolCall" ? [part.value.arguments] : [],
  );
  return { text, args };
}
