import { describe, expect, it } from "vitest";
import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import { openaiChat, openaiEmbed } from "../../src/dialects/openai/index.ts";
import { createChatAsk } from "../../src/dialects/typed-ask.ts";
import type { ChatAsk } from "../../src/mesh/ask.ts";
import { MeshError } from "../../src/mesh/errors.ts";
import { AnswerFold } from "../../src/mesh/fold.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../src/mesh/json.ts";
import { sumInputTokens, sumOutputTokens } from "../../src/mesh/usage.ts";
import {
  absent,
  answers,
  chats,
  type Exchange,
  embeddings,
  faults,
  feed,
  field,
  label,
  listChunks,
  RECORDED,
  streams,
  targetOf,
} from "./openai-exchanges.ts";

const { client, vendor } = openaiChat;

function readAsk({ req }: Exchange): ChatAsk {
  return client.readAsk(req, JSON.stringify(req).length);
}

/** The same ask as if it had come through the typed door. */
function readTypedAsk(exchange: Exchange): ChatAsk {
  const ask = readAsk(exchange);
  return createChatAsk(ask.chat(), ask.stream, ask.bytes);
}

function usageOf(chunks: readonly JsonObject[]): JsonValue {
  let usage: JsonValue = null;
  for (const chunk of chunks) usage = chunk.usage ?? field(chunk, "x_groq", "usage") ?? usage;
  return usage;
}

function expectUsage(usage: Usage | undefined, wire: JsonValue): void {
  if (!isJsonObject(wire)) {
    expect(usage).toBeUndefined();
    return;
  }
  if (usage === undefined) throw new Error("no usage");
  expect(sumInputTokens(usage)).toBe(wire.prompt_tokens);
  expect(sumOutputTokens(usage)).toBe(wire.completion_tokens);
  const cached = field(wire, "prompt_tokens_details", "cached_tokens");
  expect(usage.cacheReadTokens).toBe(cached ?? wire.prompt_cache_hit_tokens ?? 0);
  const reasoning = field(wire, "completion_tokens_details", "reasoning_tokens");
  expect(usage.reasoningTokens).toBe(reasoning ?? 0);
  if (typeof wire.cost === "number") {
    expect(usage.upstreamCostNanoUsd).toBe(BigInt(Math.round(wire.cost * 1e9)));
  }
}

const suite = describe.skipIf(absent);
const where = `(skipped where ${RECORDED} is absent)`;

suite(`recorded OpenAI exchanges, passed through ${where}`, () => {
  it("are there in numbers", () => {
    expect(chats.length).toBeGreaterThan(300);
    expect(streams.length).toBeGreaterThan(60);
  });

  it.each(chats.map(label))("%s: the request goes on as it is", (_name, exchange) => {
    const warnings: string[] = [];
    const { body, path } = vendor.writeRequest(readAsk(exchange), targetOf(exchange), warnings);
    const { models: _, provider: _provider, ...expected } = exchange.req;
    const options = isJsonObject(exchange.req.stream_options) ? exchange.req.stream_options : {};
    expect(path).toBe("/chat/completions");
    expect(warnings).toEqual([]);
    expect(JSON.parse(body)).toEqual({
      ...expected,
      model: "upstream",
      ...(exchange.req.stream === true
        ? { stream_options: { ...options, include_usage: true } }
        : {}),
    });
  });

  it.each(answers.map(label))("%s: the answer goes on as it is", (_name, exchange) => {
    const body = Buffer.from(exchange.res);
    const { chunk, end } = vendor.readAnswer(body, readAsk(exchange));
    const wire: JsonObject = JSON.parse(exchange.res);
    expect(chunk.wire?.bytes).toBe(body);
    expect(end.upstreamId).toBe(wire.id);
    expect(end.modelVersion).toBe(wire.model);
    const native = field(wire.choices, 0, "native_finish_reason");
    expect(end.finish.raw).toBe(native ?? field(wire.choices, 0, "finish_reason"));
    expectUsage(end.usage, wire.usage ?? null);
  });

  it.each(streams.map(label))("%s: the stream goes on as it is", (_name, exchange) => {
    const asked = field(exchange.req, "stream_options", "include_usage") === true;
    const frames = exchange.res.split(/(?<=\n\n)/).filter((frame) => {
      if (frame.startsWith("data: [DONE]")) return false;
      return asked || !/"choices":\[\],.*"usage":\{/.test(frame);
    });
    for (let seed = 1; seed <= 5; seed += 1) {
      const reader = vendor.createStreamReader(readAsk(exchange));
      if (exchange.res.includes('data: {"error"')) {
        expect(() => [feed(reader, exchange.res, seed), reader.end()]).toThrow(MeshError);
        continue;
      }
      const chunks = feed(reader, exchange.res, seed);
      const passed = Buffer.concat(chunks.map((chunk) => chunk.wire?.bytes ?? Buffer.alloc(0)));
      expect(passed.toString()).toBe(frames.join(""));
      expect(reader.ended).toBe(true);
      expectUsage(reader.end().usage, usageOf(listChunks(exchange.res)));
    }
  });
});

suite(`recorded OpenAI exchanges, translated ${where}`, () => {
  it("keep all of their requests that the message has a place for", () => {
    const lost = new Map<string, number>();
    for (const exchange of chats) {
      const { body } = vendor.writeRequest(readTypedAsk(exchange), targetOf(exchange), []);
      for (const path of compare(normalise(exchange.req), normalise(JSON.parse(body)), "")) {
        const key = `${exchange.provider} ${path}`;
        lost.set(key, (lost.get(key) ?? 0) + 1);
      }
    }
    // `enabled` without an effort is carried as its meaning, the middle effort.
    expect(Object.fromEntries(lost)).toEqual({ "openrouter reasoning.enabled": 1 });
  });

  it.each(answers.map(label))("%s: the answer keeps what it says", (_name, exchange) => {
    const { chunk, end } = vendor.readAnswer(Buffer.from(exchange.res), readTypedAsk(exchange));
    const response = chunk.answer?.();
    if (response === undefined) throw new Error("no answer");
    const wire: JsonObject = JSON.parse(exchange.res);
    const written = client.writeAnswer(response);
    expect(essence(written)).toEqual(essence(wire));
    expectUsage(end.usage, wire.usage ?? null);
    const fold = new AnswerFold();
    for (const event of chunk.events()) fold.add(event);
    expect(essence(client.writeAnswer(fold.response()))).toEqual(essence(wire));
  });

  it.each(streams.map(label))("%s: the stream keeps what it says", (_name, exchange) => {
    const failed = exchange.res.includes('data: {"error"');
    for (let seed = 1; seed <= 5; seed += 1) {
      const reader = vendor.createStreamReader(readTypedAsk(exchange));
      if (failed) {
        expect(() => [feed(reader, exchange.res, seed), reader.end()]).toThrow(MeshError);
        continue;
      }
      const fold = new AnswerFold();
      for (const chunk of feed(reader, exchange.res, seed)) {
        expect(chunk.wire).toBeUndefined();
        for (const event of chunk.events()) fold.add(event);
      }
      const chunks = listChunks(exchange.res);
      expect(essence(client.writeAnswer(fold.response()))).toEqual(essence(addUp(chunks)));
      expectUsage(reader.end().usage, usageOf(chunks));
    }
  });
});

suite(`recorded OpenAI faults ${where}`, () => {
  it.each(faults.map(label))("%s is refused in the vendor's words", (_name, exchange) => {
    const error = vendor.readError(exchange.status, {}, Buffer.from(exchange.res));
    const told: JsonObject = JSON.parse(exchange.res);
    expect(error.reason).toBe("UPSTREAM_REFUSED");
    expect(error.message).toBe(field(told, "error", "message"));
    expect(error.details.upstream?.code).toBe(field(told, "error", "code") ?? "");
    const written = client.writeError(error, "req_1");
    expect(field(written, "error", "message")).toBe(field(told, "error", "message"));
    expect(field(written, "error", "code")).toBe(field(told, "error", "code"));
    expect(field(written, "error", "param")).toBe(field(told, "error", "param"));
  });
});

suite(`recorded OpenAI embeddings ${where}`, () => {
  it.each(embeddings.map(label))("%s: vectors are the same either way", (_name, exchange) => {
    const ask = openaiEmbed.client.readAsk(exchange.req, 1);
    const body = Buffer.from(exchange.res);
    const reading = openaiEmbed.vendor.readAnswer(body, ask);
    expect(reading.wire).toBe(body);
    const written = openaiEmbed.client.writeAnswer(reading.response(), ask);
    const told: JsonObject = JSON.parse(exchange.res);
    expect(written.data).toEqual(told.data);
    expect(sumInputTokens(reading.usage ?? expect.fail())).toBe(
      field(told, "usage", "prompt_tokens"),
    );
  });
});

/** Two ways to say the same made one. */
function normalise(req: JsonObject): JsonObject {
  const { model: _, models: _models, provider: _provider, stream_options: _o, ...rest } = req;
  const { functions, max_tokens: maxTokens, usage: _usage, ...body } = rest;
  return {
    ...body,
    ...(body.stream === true ? {} : { stream: undefined }),
    ...(maxTokens === undefined ? {} : { max_completion_tokens: maxTokens }),
    ...(Array.isArray(functions)
      ? { tools: functions.map((it) => ({ type: "function", function: it })) }
      : {}),
    messages: (Array.isArray(req.messages) ? req.messages : []).map(normaliseMessage),
  };
}

function normaliseMessage(message: JsonValue): JsonValue {
  if (!isJsonObject(message)) return message;
  const { content, reasoning, reasoning_content: thoughts, ...rest } = message;
  const first = field(content, 0);
  const plain =
    Array.isArray(content) &&
    content.length === 1 &&
    isJsonObject(first) &&
    Object.keys(first).sort().join() === "text,type"
      ? first.text
      : content;
  return {
    ...rest,
    ...(plain === "" || plain === null ? {} : { content: plain }),
    ...((thoughts ?? reasoning) ? { thoughts: thoughts ?? reasoning } : {}),
  };
}

/** Paths at which `after` has not what `before` has. */
function compare(
  before: JsonValue | undefined,
  after: JsonValue | undefined,
  path: string,
): string[] {
  if (before === null || before === undefined || before === "") return [];
  if (isJsonObject(before) && isJsonObject(after)) {
    return Object.keys(before).flatMap((name) =>
      compare(before[name], after[name], path === "" ? name : `${path}.${name}`),
    );
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    if (before.length !== after.length) return [`${path}.length`];
    return before.flatMap((item, at) => compare(item, after[at], `${path}[]`));
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [path];
}

/** What matters of an answer. */
function essence(answer: JsonObject): JsonValue {
  const choices = Array.isArray(answer.choices) ? answer.choices : [];
  return choices.map((choice) => {
    const message = field(choice, "message");
    const calls = field(message, "tool_calls") ?? [];
    const legacy = field(message, "function_call");
    const list = legacy === null ? calls : [{ function: legacy }];
    const called = Array.isArray(list) && list.length > 0;
    const finish = field(choice, "finish_reason");
    return {
      content: field(message, "content") || "",
      refusal: field(message, "refusal") || "",
      reasoning: field(message, "reasoning_content") ?? field(message, "reasoning") ?? "",
      annotations: field(message, "annotations") ?? [],
      calls: (Array.isArray(list) ? list : []).map((call) => field(call, "function")),
      ids: (Array.isArray(list) ? list : []).map((call) => field(call, "id") ?? "call_0"),
      logprobs: field(choice, "logprobs", "content"),
      finish: called ? "tool_calls" : finish === "eos" ? "stop" : finish,
    };
  });
}

/** A stream added up by hand: one choice, as all the recordings have. */
function addUp(chunks: readonly JsonObject[]): JsonObject {
  const message: Record<string, JsonValue> = { content: "", refusal: "", reasoning: "" };
  const calls: Array<{ id: JsonValue; function: { name: string; arguments: string } }> = [];
  let finish: JsonValue = null;
  for (const chunk of chunks) {
    const delta = field(chunk.choices, 0, "delta");
    for (const name of ["content", "refusal", "reasoning"]) {
      message[name] = `${message[name]}${field(delta, name) ?? ""}`;
    }
    finish = field(chunk.choices, 0, "finish_reason") ?? finish;
    const deltas = field(delta, "tool_calls");
    for (const call of Array.isArray(deltas) ? deltas : []) {
      const index = Number(field(call, "index"));
      calls[index] ??= { id: field(call, "id"), function: { name: "", arguments: "" } };
      calls[index].function.name += field(call, "function", "name") ?? "";
      calls[index].function.arguments += field(call, "function", "arguments") ?? "";
    }
  }
  return { choices: [{ message: { ...message, tool_calls: calls }, finish_reason: finish }] };
}
