import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { CreateChatResponse } from "../../gen/weir/v1/chat_service_pb.ts";
import { anthropicChat } from "../../src/dialects/anthropic/index.ts";
import type { ChatClientSide, StreamReader } from "../../src/dialects/dialect.ts";
import { readFrames, SseFramer } from "../../src/dialects/sse.ts";
import { createChatAsk } from "../../src/dialects/typed-ask.ts";
import type { ChatAsk } from "../../src/mesh/ask.ts";
import type { ChatEvent } from "../../src/mesh/chunk.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../src/mesh/json.ts";
import type { Outcome } from "../../src/mesh/outcome.ts";
import { createSeededRandom } from "../../src/mesh/random.ts";
import type { Target } from "../../src/mesh/target.ts";
import type { UpstreamEnd } from "../../src/mesh/upstream.ts";
import { createUsage } from "../../src/mesh/usage.ts";

export const RECORDED = "../shared/fixtures/recorded/anthropic.jsonl.gz";

export interface Exchange {
  readonly name: string;
  readonly n: number;
  readonly path: string;
  readonly req: JsonObject;
  readonly status: number;
  readonly stream: boolean;
  readonly res: string;
}

function readExchanges(): Exchange[] {
  if (!existsSync(RECORDED)) return [];
  const lines = gunzipSync(readFileSync(RECORDED)).toString("utf8").trim().split("\n");
  return lines.map((line): Exchange => JSON.parse(line));
}

const exchanges = readExchanges().filter(({ path }) => path.startsWith("/v1/messages"));
export const messages = exchanges.filter(({ path }) => path === "/v1/messages");
export const answers = messages.filter(({ status, stream }) => status === 200 && !stream);
export const streams = messages.filter(({ status, stream }) => status === 200 && stream);
export const counts = exchanges.filter(({ path }) => path.endsWith("/count_tokens"));
export const absent = exchanges.length === 0;

export function label(exchange: Exchange): [string, Exchange] {
  return [`${exchange.name} ${exchange.n}`, exchange];
}

export function targetOf(exchange: Exchange): Target {
  const model = String(exchange.req.model);
  // Only its resource is not filled in: the dialects read its name and address, and no more.
  const provider = {
    name: "providers/anthropic",
    dialect: "anthropic",
    baseUrls: ["http://127.0.0.1:1/v1"],
    secret: undefined,
    fault: undefined,
    resource: {},
  } as unknown as Target["provider"];
  return {
    id: `anthropic/${model}`,
    model,
    provider,
    upstreamModel: model,
    weight: 1,
    priority: 0,
    overrides: undefined,
    headers: {},
    price: undefined,
    capabilities: undefined,
    outputTokensMax: undefined,
  };
}

export function typedAsk(exchange: Exchange): ChatAsk {
  const chat = anthropicChat.client.readAsk(exchange.req, 1).chat();
  return createChatAsk(chat, exchange.req.stream === true, 1);
}

export function decodeAnswer(exchange: Exchange): CreateChatResponse {
  const { chunk } = anthropicChat.vendor.readAnswer(Buffer.from(exchange.res), typedAsk(exchange));
  const response = chunk.answer?.();
  if (response === undefined) throw new Error("no answer");
  return response;
}

/** Feeds a stream in pieces that end anywhere, also within characters and frames. */
export function readStream(exchange: Exchange, ask: ChatAsk, seed: number) {
  const random = createSeededRandom(seed);
  const bytes = Buffer.from(exchange.res);
  const framer = new SseFramer();
  const reader: StreamReader = anthropicChat.vendor.createStreamReader(ask);
  const chunks = [];
  for (let start = 0; start < bytes.length; ) {
    const end = start + 1 + Math.floor(random.unit() * 700);
    const frames = framer.push(bytes.subarray(start, end));
    start = end;
    const chunk = frames === undefined ? undefined : reader.read(frames);
    if (chunk !== undefined) chunks.push(chunk);
  }
  return { reader, chunks, end: reader.end() };
}

export function decodeStream(
  exchange: Exchange,
  seed: number,
): { events: ChatEvent[]; end: UpstreamEnd } {
  const { chunks, end } = readStream(exchange, typedAsk(exchange), seed);
  return { events: chunks.flatMap((chunk) => chunk.events()), end };
}

export function encodeStream(
  client: ChatClientSide,
  ask: ChatAsk,
  stream: { readonly events: readonly ChatEvent[]; readonly end: UpstreamEnd },
): string {
  const { events, end } = stream;
  const outcome = outcomeOf(end);
  const writer = client.createStreamWriter(ask);
  let text = writer.start(outcome.decision);
  for (const event of events) text += writer.events([event]);
  return text + writer.end(outcome, false);
}

export function outcomeOf(end: UpstreamEnd): Outcome {
  return {
    decision: {
      $typeName: "weir.v1.Decision",
      requestId: "req_1",
      model: "m",
      provider: "anthropic",
      upstreamModel: "m",
      attempts: 1,
      cache: 0,
      policyRevision: 1n,
      upstreamId: end.upstreamId,
      warnings: [],
      clampedBy: "",
      downgradedBy: "",
      unprovenBy: [],
    },
    finish: end.finish,
    usage: end.usage ?? createUsage(),
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

export function eventsOf(res: string): JsonObject[] {
  const events: JsonObject[] = [];
  readFrames(Buffer.from(res), (_name, data) => events.push(JSON.parse(data)));
  return events;
}

/** Adds a stream's events up to blocks, by code that shares nothing with the dialect's. */
export function gather(res: string): JsonObject[] {
  const blocks: Array<Record<string, JsonValue | undefined>> = [];
  const inputs: string[] = [];
  for (const event of eventsOf(res)) {
    const index = Number(event.index);
    if (event.type === "content_block_start" && isJsonObject(event.content_block)) {
      blocks[index] = { ...event.content_block };
    }
    const block = blocks[index];
    const { delta } = event;
    if (event.type !== "content_block_delta" || block === undefined || !isJsonObject(delta))
      continue;
    if (delta.type === "text_delta") block.text = `${block.text}${delta.text}`;
    if (delta.type === "thinking_delta") block.thinking = `${block.thinking}${delta.thinking}`;
    if (delta.type === "signature_delta") block.signature = delta.signature;
    if (delta.type === "input_json_delta") {
      inputs[index] = `${inputs[index] ?? ""}${delta.partial_json}`;
    }
  }
  inputs.forEach((input, index) => {
    const block = blocks[index];
    if (block !== undefined && input !== "") block.input = JSON.parse(input);
  });
  return blocks;
}

export function listBlocks(content: JsonValue | undefined): JsonObject[] {
  return Array.isArray(content) ? content.filter(isJsonObject) : [];
}

export function textOf(blocks: readonly JsonObject[]): string {
  return blocks.map((block) => (block.type === "text" ? String(block.text) : "")).join("");
}
