import { Agent } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { anthropicChat } from "../../src/dialects/anthropic/index.ts";
import { openaiChat } from "../../src/dialects/openai/index.ts";
import { createChatAsk } from "../../src/dialects/typed-ask.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../src/mesh/json.ts";
import { sumInputTokens, sumOutputTokens } from "../../src/mesh/usage.ts";
import {
  absent,
  answers,
  counts,
  type Exchange,
  eventsOf,
  gather,
  label,
  listBlocks,
  messages,
  RECORDED,
  streams,
  targetOf,
  textOf,
} from "../recorded/anthropic-exchanges.ts";
import { ReplayUpstream } from "../support/replay-upstream.ts";
import { type Answer, type Body, listData, post, streamText } from "../support/rest-calls.ts";
import { endAll, startWeir, type WeirProcess } from "../support/weir-process.ts";

/** Nano-USD a token. Prices of caches are those of the input, so that the cost is easily told. */
const [INPUT, OUTPUT] = [3_000, 15_000];

let weir: WeirProcess;
let upstream: ReplayUpstream;
let dispatcher: Agent;
const sent: Array<{ requestId: string; usage: JsonObject; door: string }> = [];

const modelOf = new Map([...messages, ...counts].map((exchange, at) => [exchange, `claude-${at}`]));

async function begin(): Promise<void> {
  upstream = await ReplayUpstream.start();
  dispatcher = new Agent({ connections: 4 });
  weir = await startWeir();
  const price = {
    inputNanoUsdPerMillion: BigInt(INPUT * 1e6),
    outputNanoUsdPerMillion: BigInt(OUTPUT * 1e6),
  };
  const provider = "providers/anthropic";
  await weir.admin.createProvider({
    provider: {
      name: provider,
      dialect: "anthropic",
      baseUrls: [upstream.baseUrl],
      prices: { "*": price },
      credential: { source: { case: "secret", value: "sk-ant-of-the-vendor" } },
    },
  });
  const targets = [{ provider, upstreamModel: "*" }];
  await weir.admin.createModel({
    model: { name: "models/anthropic/*", targets, retriesPerTarget: 0 },
  });
  for (const [exchange, model] of modelOf) upstream.put(model, exchange);
}

async function end(): Promise<void> {
  await dispatcher?.close();
  await upstream?.close();
  await endAll();
}

/** Sends a recorded request through Weir, and checks what arrives at the upstream. */
async function replay(exchange: Exchange, path: string): Promise<Answer> {
  const model = modelOf.get(exchange) ?? "";
  const headers = { "anthropic-version": "2023-06-01", "anthropic-beta": "a-beta,another" };
  const body = { ...exchange.req, model: `anthropic/${model}` };
  const answer = await post(weir, path, body, { dispatcher, headers });
  const arrival = upstream.arrival(model);
  expect(arrival?.path).toBe(path);
  expect(arrival?.headers).toMatchObject({ ...headers, "x-api-key": "sk-ant-of-the-vendor" });
  expect(arrival?.headers.authorization).toBeUndefined();
  expect(arrival?.body).toEqual({ ...exchange.req, model });
  return answer;
}

/** Asks for a recorded answer by OpenAI's dialect: the same question where it can be said there. */
async function askAsOpenAi(exchange: Exchange, stream: boolean): Promise<Answer> {
  const model = modelOf.get(exchange) ?? "";
  const body = {
    ...translateRequest(exchange),
    model: `anthropic/${model}`,
    ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
  };
  const answer = await post(weir, "/v1/chat/completions", body, { dispatcher });
  expect(upstream.arrival(model)?.path).toBe("/v1/messages");
  return answer;
}

function translateRequest(exchange: Exchange): JsonObject {
  const chat = anthropicChat.client.readAsk(exchange.req, 1).chat();
  try {
    const ask = createChatAsk({ ...chat, providerOptions: "" }, false, 1);
    const { body } = openaiChat.vendor.writeRequest(ask, targetOf(exchange), []);
    return JSON.parse(body);
  } catch {
    // What only Anthropic has cannot be asked for in any other dialect; its answer still must be told.
    return { messages: [{ role: "user", content: "?" }] };
  }
}

interface Call {
  readonly id: JsonValue | undefined;
  readonly name: JsonValue | undefined;
  readonly input: unknown;
}

function callsOfBlocks(blocks: readonly JsonObject[]): Call[] {
  const calls = blocks.filter((block) => block.type === "tool_use");
  return calls.map(({ id, name, input }) => ({ id, name, input }));
}

function sumInput(usage: JsonObject): number {
  const names = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
  return names.reduce((total, name) => total + Number(usage[name] ?? 0), 0);
}

function usageOfStream(res: string): JsonObject {
  let usage: JsonObject = {};
  for (const { message, usage: more } of eventsOf(res)) {
    if (isJsonObject(message) && isJsonObject(message.usage)) usage = { ...message.usage };
    if (isJsonObject(more)) usage = { ...usage, ...more };
  }
  return usage;
}

function expectOpenAiUsage(told: Body, usage: JsonObject): void {
  expect(told.prompt_tokens).toBe(sumInput(usage));
  expect(told.completion_tokens).toBe(usage.output_tokens);
  expect(told.prompt_tokens_details?.cached_tokens ?? 0).toBe(usage.cache_read_input_tokens ?? 0);
}

const where = `(skipped where ${RECORDED} is absent)`;

describe.skipIf(absent)(`recorded Anthropic exchanges through Weir ${where}`, () => {
  beforeAll(begin);
  afterAll(end);

  it.each(answers.map(label))("%s: request and answer pass without loss", async (_, exchange) => {
    const answer = await replay(exchange, "/v1/messages");
    expect([answer.status, answer.text]).toEqual([200, exchange.res]);
    sent.push({ requestId: answer.requestId, usage: answer.json.usage, door: "anthropic" });
  });

  it.each(streams.map(label))("%s: request and stream pass without loss", async (_, exchange) => {
    const { status, text, requestId } = await replay(exchange, "/v1/messages");
    expect(status).toBe(200);
    // The last frame is Weir's own; the vendor pads it with blanks.
    const frames = exchange.res.replace(/"message_stop" *\}/, '"message_stop"}').split("\n\n");
    expect(text.split("\n\n")).toEqual(frames);
    sent.push({ requestId, usage: usageOfStream(exchange.res), door: "anthropic" });
  });

  it.each(counts.map(label))("%s: the count passes", async (_, exchange) => {
    const { status, json } = await replay(exchange, "/v1/messages/count_tokens");
    const told: JsonObject = JSON.parse(exchange.res);
    expect([status, json.input_tokens]).toEqual([200, told.input_tokens]);
  });

  it.each(messages.filter(({ status }) => status >= 400).map(label))(
    "%s: the refusal is told in the vendor's words",
    async (_, exchange) => {
      const { status, json } = await replay(exchange, "/v1/messages");
      const told = JSON.parse(exchange.res);
      expect(status).toBe(exchange.status);
      expect(json.error).toMatchObject(told.error);
    },
  );

  it.each(answers.map(label))("%s: the answer is told to OpenAI's clients", async (_, exchange) => {
    const { status, json, requestId } = await askAsOpenAi(exchange, false);
    expect(status).toBe(200);
    const recorded: Body = JSON.parse(exchange.res);
    const blocks = listBlocks(recorded.content);
    const [{ message, finish_reason: finish }] = json.choices;
    expect(message.content ?? "").toBe(textOf(blocks));
    const calls = (message.tool_calls ?? []).map((call: Body) => ({
      id: call.id,
      name: call.function.name,
      input: JSON.parse(call.function.arguments),
    }));
    expect(calls).toEqual(callsOfBlocks(blocks));
    expect(finish).toBe(recorded.stop_reason === "tool_use" ? "tool_calls" : "stop");
    expectOpenAiUsage(json.usage, recorded.usage);
    sent.push({ requestId, usage: recorded.usage, door: "openai" });
  });

  it.each(streams.map(label))("%s: the stream is told to OpenAI's clients", async (_, exchange) => {
    const { status, text, requestId } = await askAsOpenAi(exchange, true);
    expect(status).toBe(200);
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
    const blocks = gather(exchange.res);
    expect(streamText(text)).toBe(textOf(blocks));
    const chunks = listData(text);
    expect(gatherCalls(chunks)).toEqual(callsOfBlocks(blocks));
    const usage = usageOfStream(exchange.res);
    const reasons = chunks.flatMap(({ choices }) => choices?.[0]?.finish_reason ?? []);
    expect(reasons).toEqual([
      exchange.res.includes('"stop_reason":"tool_use"') ? "tool_calls" : "stop",
    ]);
    expectOpenAiUsage(chunks.at(-1).usage, usage);
    sent.push({ requestId, usage, door: "openai" });
  });

  it("have cost what the vendor counted, each of them", async () => {
    expect(sent).toHaveLength(2 * (answers.length + streams.length));
    for (const { requestId, usage: told, door } of sent) {
      const record = await weir.record(requestId);
      if (record.usage === undefined) return expect.fail(`${requestId} has no usage`);
      const [input, output] = [sumInput(told), Number(told.output_tokens)];
      expect(record).toMatchObject({ door, provider: "providers/anthropic", errorReason: "" });
      expect([sumInputTokens(record.usage), sumOutputTokens(record.usage)]).toEqual([
        input,
        output,
      ]);
      expect(record.usage).toMatchObject({
        estimated: false,
        inputTokens: told.input_tokens,
        cacheReadTokens: told.cache_read_input_tokens ?? 0,
      });
      expect(record.costNanoUsd).toBe(BigInt(input * INPUT + output * OUTPUT));
    }
  });
});

function gatherCalls(chunks: readonly Body[]): Call[] {
  const calls: Array<{ id: string; name: string; json: string }> = [];
  for (const chunk of chunks) {
    for (const piece of chunk.choices?.[0]?.delta?.tool_calls ?? []) {
      calls[piece.index] ??= { id: "", name: "", json: "" };
      const call = calls[piece.index];
      if (call === undefined) continue;
      call.id += piece.id ?? "";
      call.name += piece.function?.name ?? "";
      call.json += piece.function?.arguments ?? "";
    }
  }
  return calls.map(({ id, name, json }) => ({ id, name, input: JSON.parse(json) }));
}
