import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Dimension, Window_Calendar } from "../../gen/weir/admin/v1/policy_pb.ts";
import { FinishReason, Role } from "../../gen/weir/v1/chat_pb.ts";
import { ChatService } from "../../gen/weir/v1/chat_service_pb.ts";
import { eventually } from "../support/eventually.ts";
import { type Answer, type Body, chat, post } from "../support/rest-calls.ts";
import {
  endAll,
  KEY,
  type SimProcess,
  startSim,
  startWeir,
  type WeirProcess,
} from "../support/weir-process.ts";

const TIMEOUT_MS = 120_000;

/** A byte may be a token, and some may be on their way: of 9,000 tokens so many are seen. */
const BYTES_MAX = 9_000;
/** 20,000 tokens, so slowly that no machine brings more at once than the budget has. */
const LONG = "text?tokens=20000&tps=1000";

let weir: WeirProcess;
let sim: SimProcess;

beforeAll(async () => {
  [weir, sim] = await Promise.all([startWeir(), startSim()]);
  for (const dialect of ["openai", "anthropic"]) {
    const baseUrls = [sim.baseUrl];
    await weir.admin.createProvider({
      provider: { name: `providers/${dialect}`, dialect, baseUrls },
    });
  }
}, TIMEOUT_MS);
afterAll(endAll);

/** Makes a model that answers at length, and a budget of 9,000 tokens about it alone. */
async function limit(name: string, provider: string): Promise<string> {
  await weir.admin.createModel({
    model: {
      name: `models/${name}`,
      targets: [{ provider: `providers/${provider}`, upstreamModel: LONG }],
      capabilities: ["chat"],
      retriesPerTarget: 0,
    },
  });
  const window = { window: { case: "calendar" as const, value: Window_Calendar.MONTH } };
  const value = { dimension: Dimension.TOKENS, limit: BigInt(BYTES_MAX), window };
  await weir.admin.createPolicy({
    policy: {
      name: `policies/${name}`,
      match: { models: { include: [name] } },
      rule: { case: "budget", value },
    },
  });
  return name;
}

function readFrames({ text }: Answer): Body[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice(6)));
}

/** The budget was spent from, and not beyond. */
async function expectSpent(name: string, seen: number): Promise<void> {
  await eventually(async () => {
    const { buckets } = await weir.admin.getQuotaStatus({ name: `policies/${name}` });
    const [bucket] = buckets;
    for (const { outstanding } of bucket?.leases ?? []) expect(outstanding).toBe(0n);
    expect(Number(bucket?.spent)).toBeGreaterThan(seen / 4);
    expect(Number(bucket?.spent)).toBeLessThanOrEqual(BYTES_MAX);
  });
}

describe.concurrent("a stream of 20,000 tokens on a budget that has 9,000", () => {
  for (const provider of ["sim", "openai"]) {
    it(
      `ends with its length for a client of OpenAI before ${provider}`,
      async () => {
        const model = await limit(`long-${provider}`, provider);
        const answer = await chat(weir, {
          model,
          stream: true,
          stream_options: { include_usage: true },
        });
        expect(answer.status).toBe(200);
        const frames = readFrames(answer);
        const words = frames.map((each) => each.choices[0]?.delta?.content ?? "").join("");
        expect(Buffer.byteLength(words)).toBeGreaterThan(0);
        expect(Buffer.byteLength(words)).toBeLessThan(BYTES_MAX);
        const ends = frames.flatMap(({ choices }) => choices.filter((c: Body) => c.finish_reason));
        expect(ends).toMatchObject([
          { index: 0, finish_reason: "length", native_finish_reason: "weir_quota" },
        ]);
        expect(new Set(frames.map(({ id }) => id)).size).toBe(1);
        expect(frames.at(-1)).toMatchObject({
          choices: [],
          usage: { prompt_tokens: expect.any(Number) },
        });
        expect(answer.text.endsWith("data: [DONE]\n\n")).toBe(true);
        const record = await weir.record(answer.requestId);
        expect(record).toMatchObject({
          clampedBy: `policies/${model}`,
          errorReason: "",
          finishReason: "length",
          rawFinishReason: "weir_quota",
        });
        await expectSpent(model, Buffer.byteLength(words));
      },
      TIMEOUT_MS,
    );
  }

  it(
    "ends with its length for a client of Anthropic whose frames are passed on",
    async () => {
      const model = await limit("long-anthropic", "anthropic");
      const answer = await post(weir, "/v1/messages", {
        model,
        max_tokens: 30_000,
        stream: true,
        messages: [{ role: "user", content: "one two" }],
      });
      expect(answer.status).toBe(200);
      const events = readFrames(answer);
      const words = events.map(({ delta }) => delta?.text ?? "").join("");
      expect(Buffer.byteLength(words)).toBeGreaterThan(0);
      expect(Buffer.byteLength(words)).toBeLessThan(BYTES_MAX);
      expect(events.slice(-3)).toMatchObject([
        { type: "content_block_stop", index: 0 },
        { type: "message_delta", delta: { stop_reason: "max_tokens" } },
        { type: "message_stop" },
      ]);
      await expectSpent(model, Buffer.byteLength(words));
    },
    TIMEOUT_MS,
  );

  it(
    "ends with its length for a client of gRPC",
    async () => {
      const model = await limit("long-grpc", "sim");
      const client = createClient(ChatService, createGrpcTransport({ baseUrl: weir.url }));
      const parts = [{ part: { case: "text" as const, value: { text: "one two" } } }];
      const request = { chat: { model, messages: [{ role: Role.USER, parts }] } };
      const ends: unknown[] = [];
      for await (const { event } of client.streamChat(request, {
        headers: { authorization: `Bearer ${KEY}` },
      })) {
        if (event.case === "choiceFinished" || event.case === "finished") {
          ends.push([event.case, event.value.finish?.reason, event.value.finish?.raw]);
        }
      }
      expect(ends).toEqual([
        ["choiceFinished", FinishReason.LENGTH, "weir_quota"],
        ["finished", FinishReason.LENGTH, "weir_quota"],
      ]);
      await expectSpent(model, 0);
    },
    TIMEOUT_MS,
  );
});
