import { Agent } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isJsonObject, type JsonObject, type JsonValue } from "../../src/mesh/json.ts";
import { sumInputTokens, sumOutputTokens } from "../../src/mesh/usage.ts";
import {
  absent,
  answers,
  completions,
  type Exchange,
  embeddings,
  faults,
  field,
  label,
  listChunks,
  RECORDED,
  streams,
} from "../recorded/openai-exchanges.ts";
import { type Replay, ReplayUpstream } from "../support/replay-upstream.ts";
import { type Answer, post } from "../support/rest-calls.ts";
import { endAll, startWeir, type WeirProcess } from "../support/weir-process.ts";

/** Nano-USD a token; a million of these is the price of the provider. */
const [INPUT, OUTPUT] = [3_000, 15_000];

let weir: WeirProcess;
let upstream: ReplayUpstream;
let dispatcher: Agent;
/** What was sent, for the ledger: request ids, and the usage that the vendor told. */
const sent: Array<{ requestId: string; usage: JsonValue; provider: string }> = [];
/** Streams in which the vendor told an error. */
let broken = 0;

const numbered = [...answers, ...streams, ...faults, ...embeddings, ...completions];
const modelOf = new Map(numbered.map((exchange, at) => [exchange, `recorded-${at}`]));

async function begin(): Promise<void> {
  upstream = await ReplayUpstream.start();
  dispatcher = new Agent({ connections: 4 });
  weir = await startWeir();
  const price = {
    inputNanoUsdPerMillion: BigInt(INPUT * 1e6),
    outputNanoUsdPerMillion: BigInt(OUTPUT * 1e6),
  };
  for (const vendor of new Set(numbered.map(({ provider }) => provider))) {
    const provider = `providers/${vendor}`;
    await weir.admin.createProvider({
      provider: {
        name: provider,
        dialect: "openai",
        baseUrls: [upstream.baseUrl],
        prices: { "*": price },
        credential: { source: { case: "secret", value: "sk-of-the-vendor" } },
      },
    });
    await weir.admin.createModel({
      model: {
        name: `models/${vendor}/*`,
        targets: [{ provider, upstreamModel: "*" }],
        retriesPerTarget: 0,
      },
    });
  }
  for (const [exchange, model] of modelOf) {
    upstream.put(model, completions.includes(exchange) ? tellAsChat(exchange) : exchange);
  }
}

async function end(): Promise<void> {
  await dispatcher?.close();
  await upstream?.close();
  await endAll();
}

/** Sends a recorded request through Weir, and checks what arrives at the upstream. */
async function replay(exchange: Exchange, path: string): Promise<Answer> {
  const model = modelOf.get(exchange) ?? "";
  // Routing wishes name providers of this installation; a recorded one names a vendor's own.
  const wishes =
    exchange.req.provider === undefined ? {} : { provider: { only: [exchange.provider] } };
  const body = { ...exchange.req, ...wishes, model: `${exchange.provider}/${model}` };
  const answer = await post(weir, path, body, { dispatcher });
  const arrival = upstream.arrival(model);
  const rest = expectRequest(exchange.req);
  const options = isJsonObject(rest.stream_options) ? rest.stream_options : {};
  expect(arrival?.path).toBe(path);
  expect(arrival?.headers.authorization).toBe("Bearer sk-of-the-vendor");
  expect(arrival?.body).toEqual({
    ...rest,
    model,
    ...(rest.stream === true && path !== "/v1/embeddings"
      ? { stream_options: { ...options, include_usage: true } }
      : {}),
  });
  return answer;
}

/** What goes on: all but what Weir obeys itself, and what only OpenRouter takes, for which this upstream is not. */
function expectRequest(req: JsonObject): JsonObject {
  const { models: _, provider: _provider, reasoning, usage: _usage, ...rest } = req;
  const effort = field(reasoning, "effort");
  return effort === null ? rest : { ...rest, reasoning_effort: effort };
}

/** A recorded completion as an upstream of chats would answer. */
function tellAsChat(exchange: Exchange): Replay {
  const tell = (told: JsonObject, name: string): JsonObject => {
    const list = Array.isArray(told.choices) ? told.choices : [];
    const choices = list.map((choice, index) => ({
      index,
      [name]: { role: "assistant", content: field(choice, "text") },
      finish_reason: field(choice, "finish_reason"),
    }));
    return { ...told, object: "chat.completion", choices };
  };
  if (!exchange.stream) {
    return { ...exchange, res: JSON.stringify(tell(JSON.parse(exchange.res), "message")) };
  }
  const frames = listChunks(exchange.res).map((chunk) => JSON.stringify(tell(chunk, "delta")));
  return { ...exchange, res: [...frames, "[DONE]"].map((data) => `data: ${data}\n\n`).join("") };
}

const suite = describe.skipIf(absent);
const where = `(skipped where ${RECORDED} is absent)`;

suite(`recorded OpenAI exchanges through Weir ${where}`, () => {
  beforeAll(begin);
  afterAll(end);

  it.each(answers.map(label))("%s: request and answer pass without loss", async (_, exchange) => {
    const answer = await replay(exchange, "/v1/chat/completions");
    expect([answer.status, answer.text]).toEqual([200, exchange.res]);
    const { requestId } = answer;
    sent.push({ requestId, usage: answer.json.usage ?? null, provider: exchange.provider });
  });

  it.each(streams.map(label))("%s: request and stream pass without loss", async (_, exchange) => {
    const { status, text, requestId } = await replay(exchange, "/v1/chat/completions");
    const chunks = listChunks(exchange.res);
    if (chunks.some((chunk) => chunk.error !== undefined)) {
      // As a status when it came before any content, else within the stream.
      broken++;
      expect(text).toContain('"error"');
      expect(text).not.toContain("[DONE]");
      return;
    }
    expect(status).toBe(200);
    let usage: JsonValue = null;
    for (const chunk of chunks) usage = chunk.usage ?? field(chunk, "x_groq", "usage") ?? usage;
    const asked = field(exchange.req, "stream_options", "include_usage") === true;
    const frames = exchange.res.split(/(?<=\n\n)/).filter((frame) => {
      if (frame.startsWith("data: [DONE]")) return false;
      // The caller did not ask for it: Weir did.
      return asked || !/"choices":\[\],.*"usage":\{/.test(frame);
    });
    expect(text).toBe(`${frames.join("")}data: [DONE]\n\n`);
    sent.push({ requestId, usage, provider: exchange.provider });
  });

  it.each(embeddings.map(label))("%s: vectors pass without loss", async (_, exchange) => {
    const answer = await replay(exchange, "/v1/embeddings");
    expect([answer.status, answer.text]).toEqual([200, exchange.res]);
    const { requestId } = answer;
    sent.push({ requestId, usage: answer.json.usage ?? null, provider: exchange.provider });
  });

  it.each(completions.map(label))("%s: an old completion is asked as a chat", async (_, each) => {
    const model = modelOf.get(each) ?? "";
    const body = { ...each.req, model: `${each.provider}/${model}` };
    const { status, text } = await post(weir, "/v1/completions", body, { dispatcher });
    expect(status).toBe(200);
    const arrival = upstream.arrival(model);
    expect(arrival?.path).toBe("/v1/chat/completions");
    expect(arrival?.body.messages).toMatchObject([{ role: "user", content: each.req.prompt }]);
    const got = each.stream ? listChunks(text) : [JSON.parse(text)];
    const told = each.stream ? listChunks(each.res) : [JSON.parse(each.res)];
    expect(addUp(got)).toEqual(addUp(told));
  });

  it.each(faults.map(label))(
    "%s: the refusal is told in the vendor's words",
    async (_, exchange) => {
      const { status, json } = await replay(exchange, "/v1/chat/completions");
      const told: JsonObject = JSON.parse(exchange.res);
      expect(status).toBe(400);
      expect(json.error.message).toBe(field(told, "error", "message"));
      expect(json.error.code).toBe(field(told, "error", "code"));
    },
  );

  it("have cost what the vendor counted, each of them", async () => {
    expect(sent.length).toBe(answers.length + streams.length + embeddings.length - broken);
    expect(broken).toBeLessThan(3);
    let counted = 0;
    for (const { requestId, usage: told, provider } of sent) {
      const record = await weir.record(requestId);
      const { usage } = record;
      if (usage === undefined) return expect.fail(`${requestId} has no usage`);
      expect(record.provider).toBe(`providers/${provider}`);
      expect(usage.estimated).toBe(!isJsonObject(told));
      if (!isJsonObject(told)) continue;
      counted++;
      const [input, output] = [Number(told.prompt_tokens), Number(told.completion_tokens ?? 0)];
      expect([sumInputTokens(usage), sumOutputTokens(usage)]).toEqual([input, output]);
      const cached = field(told, "prompt_tokens_details", "cached_tokens");
      expect(usage.cacheReadTokens).toBe(cached ?? told.prompt_cache_hit_tokens ?? 0);
      const reasoning = field(told, "completion_tokens_details", "reasoning_tokens");
      expect(usage.reasoningTokens).toBe(reasoning ?? 0);
      expect(record.costNanoUsd).toBe(BigInt(input * INPUT + output * OUTPUT));
    }
    expect(counted).toBeGreaterThan(200);
  });
});

/** What matters of a completion, whole or in pieces. */
function addUp(pieces: readonly JsonObject[]): { text: string; finish: JsonValue } {
  let text = "";
  let finish: JsonValue = null;
  for (const { choices } of pieces) {
    text += field(choices, 0, "text") ?? "";
    finish = field(choices, 0, "finish_reason") ?? finish;
  }
  return { text, finish };
}
