import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  type Chat,
  ChatSchema,
  FinishReason,
  Reasoning_Effort,
  Role,
  ToolChoice_Mode,
} from "../../gen/weir/v1/chat_pb.ts";
import { VectorEncoding } from "../../gen/weir/v1/embed_pb.ts";
import { EmbedRequestSchema } from "../../gen/weir/v1/embed_service_pb.ts";
import type { JsonObject } from "../mesh/json.ts";
import { answerChat, answerEmbed, type SimChoice } from "./engine.ts";
import { parseParameters } from "./parameters.ts";

const WEATHER = JSON.stringify({
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer", minimum: 1, maximum: 7 } },
  required: ["city", "days"],
});

describe("answerChat()", () => {
  it("echoes the last user text", () => {
    const chat = createChat("first", {
      messages: [
        message(Role.USER, "first"),
        message(Role.ASSISTANT, "a"),
        message(Role.USER, "Grüße 🌊"),
      ],
    });
    expect(only(answerChat("echo", chat, parseParameters({}))).text).toBe("Grüße 🌊");
  });

  it("says the same to the same request, and something else to another", () => {
    const ask = (text: string) => answerChat("text", createChat(text), parseParameters({}));
    expect(ask("hello")).toEqual(ask("hello"));
    expect(only(ask("hello")).text).not.toBe(only(ask("hallo")).text);
  });

  it("writes 64 tokens of prose unless it is told otherwise", () => {
    const answer = answerChat("text", createChat("hi"), parseParameters({}));
    expect(Buffer.byteLength(only(answer).text)).toBe(256);
    expect(answer.usage.outputTokens).toBe(64);
    expect(only(answer).finish.reason).toBe(FinishReason.STOP);
  });

  it("stops at max_tokens with the finish LENGTH, at a code point boundary", () => {
    const chat = createChat("🌊🌊🌊é", { sampling: { maxTokens: 2 } });
    const choice = only(answerChat("echo", chat, parseParameters({})));
    expect(choice.text).toBe("🌊🌊");
    expect(choice.finish.reason).toBe(FinishReason.LENGTH);
  });

  it("stops at a stop text and names it", () => {
    const chat = createChat("one two three", { sampling: { stop: ["three", " two"] } });
    const choice = only(answerChat("echo", chat, parseParameters({})));
    expect(choice.text).toBe("one");
    expect(choice.finish.stopSequence).toBe(" two");
  });

  it("counts four bytes a token, and cached input apart", () => {
    const answer = answerChat(
      "echo",
      createChat("12345"),
      parseParameters({ cache_read_tokens: 1 }),
    );
    expect(answer.usage).toMatchObject({ inputTokens: 1, cacheReadTokens: 1, outputTokens: 2 });
  });

  it("calls a tool when one is demanded, with arguments by its schema", () => {
    const chat = createChat("weather?", {
      tools: [functionTool("weather", WEATHER)],
      toolChoice: { mode: ToolChoice_Mode.REQUIRED },
    });
    const choice = only(answerChat("text", chat, parseParameters({})));
    const call = choice.toolCalls[0];
    expect(call?.name).toBe("weather");
    const value = JSON.parse(call?.arguments ?? "");
    expect(value.city).toEqual(expect.any(String));
    expect(value.days).toBeGreaterThanOrEqual(1);
    expect(value.days).toBeLessThanOrEqual(7);
    expect(choice.finish.reason).toBe(FinishReason.TOOL_CALLS);
  });

  it("calls as many tools as tool_calls says, one when parallel calls are forbidden", () => {
    const tools = [functionTool("a", WEATHER), functionTool("b", "")];
    const names = (toolChoice: MessageInitShape<typeof ChatSchema>["toolChoice"]) => {
      const chat = createChat("go", toolChoice === undefined ? { tools } : { tools, toolChoice });
      const answer = answerChat("text", chat, parseParameters({ tool_calls: 3 }));
      return only(answer).toolCalls.map((call) => call.name);
    };
    expect(names(undefined)).toEqual(["a", "b", "a"]);
    expect(names({ mode: ToolChoice_Mode.AUTO, parallel: false })).toEqual(["a"]);
    expect(names({ mode: ToolChoice_Mode.NONE })).toEqual([]);
    expect(names({ mode: ToolChoice_Mode.NAMED, name: "b" })).toEqual(["b", "b", "b"]);
  });

  it("answers a tool's result in text", () => {
    const parts = [{ part: { case: "text" as const, value: { text: "12°" } } }];
    const result = { case: "toolResult" as const, value: { toolCallId: "call_1", parts } };
    const chat = createChat("weather?", {
      tools: [functionTool("weather", WEATHER)],
      messages: [message(Role.USER, "weather?"), { role: Role.TOOL, parts: [{ part: result }] }],
    });
    expect(only(answerChat("text", chat, parseParameters({ tool_calls: 1 }))).toolCalls).toEqual(
      [],
    );
  });

  it("answers by a JSON schema", () => {
    const chat = createChat("x", {
      responseFormat: { format: { case: "jsonSchema", value: { schema: WEATHER } } },
    });
    const value = JSON.parse(only(answerChat("text", chat, parseParameters({}))).text);
    expect(Object.keys(value)).toEqual(["city", "days"]);
  });

  it("reasons by effort, and keeps it out of the answer when asked to", () => {
    const ask = (exclude: boolean) => {
      const reasoning = { effort: Reasoning_Effort.LOW, exclude };
      return answerChat("text", createChat("x", { reasoning }), parseParameters({}));
    };
    expect(Buffer.byteLength(only(ask(false)).reasoning)).toBe(64);
    expect(only(ask(true)).reasoning).toBe("");
    expect(ask(true).usage).toMatchObject({ reasoningTokens: 16, outputTokens: 64 });
  });

  it("gives as many answers as n asks for, each its own", () => {
    const chat = createChat("x", { sampling: { n: 3 } });
    const texts = answerChat("text", chat, parseParameters({})).choices.map((c) => c.text);
    expect(new Set(texts).size).toBe(3);
  });

  it("refuses a model that it does not have", () => {
    expect(() => answerChat("gpt-4o", createChat("x"), parseParameters({}))).toThrow(
      expect.objectContaining({ reason: "UPSTREAM_REFUSED" }),
    );
  });
});

describe("answerEmbed()", () => {
  it("puts similar texts nearer than others, in unit vectors", () => {
    const [a, b, c] = vectors([
      "the river is high today",
      "today the rivers are high",
      "invoice 4711 overdue",
    ]);
    expect(dot(a, a)).toBeCloseTo(1, 5);
    expect(dot(a, b)).toBeGreaterThan(dot(a, c) + 0.3);
  });

  it("keeps to the dimensions, 256 without", () => {
    const length = (init: JsonObject) =>
      answerEmbed("embed", create(EmbedRequestSchema, { inputs: [text("x")], ...init }))
        .embeddings[0]?.values.length;
    expect(length({})).toBe(256);
    expect(length({ dimensions: 64 })).toBe(64);
    expect(() => length({ dimensions: 0 })).toThrow(
      expect.objectContaining({ reason: "INVALID_REQUEST" }),
    );
  });

  it("encodes little-endian float32 when asked to", () => {
    const request = { inputs: [text("x")], dimensions: 8 };
    const floats = answerEmbed("embed", create(EmbedRequestSchema, request)).embeddings[0];
    const encoding = VectorEncoding.LITTLE_ENDIAN;
    const bytes = answerEmbed("embed", create(EmbedRequestSchema, { ...request, encoding }))
      .embeddings[0]?.littleEndian;
    const buffer = Buffer.from(bytes ?? []);
    expect(floats?.values.map((_, i) => buffer.readFloatLE(i * 4))).toEqual(floats?.values);
  });
});

function createChat(text: string, init: MessageInitShape<typeof ChatSchema> = {}): Chat {
  return create(ChatSchema, { model: "sim/text", messages: [message(Role.USER, text)], ...init });
}

function message(role: Role, value: string) {
  return { role, parts: [{ part: { case: "text" as const, value: { text: value } } }] };
}

function functionTool(name: string, parametersSchema: string) {
  return { tool: { case: "function" as const, value: { name, parametersSchema } } };
}

function text(value: string) {
  return { input: { case: "text" as const, value } };
}

function only(answer: { choices: readonly SimChoice[] }): SimChoice {
  const [choice] = answer.choices;
  if (choice === undefined) throw new Error("no choice");
  return choice;
}

function vectors(texts: readonly string[]): number[][] {
  const request = create(EmbedRequestSchema, { inputs: texts.map(text) });
  return answerEmbed("embed", request).embeddings.map((embedding) => embedding.values);
}

function dot(a: number[] | undefined, b: number[] | undefined): number {
  return (a ?? []).reduce((sum, value, i) => sum + value * (b?.[i] ?? 0), 0);
}
