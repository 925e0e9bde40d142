import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { StreamReader } from "../../src/dialects/dialect.ts";
import { readFrames, SseFramer } from "../../src/dialects/sse.ts";
import type { ChatChunk } from "../../src/mesh/chunk.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../src/mesh/json.ts";
import { createSeededRandom } from "../../src/mesh/random.ts";
import type { Target } from "../../src/mesh/target.ts";
import { createTestProvider, createTestTarget } from "../support/targets.ts";

export const RECORDED = "../shared/fixtures/recorded";

/** Vendors of this dialect, by the address of their API. */
const addresses: Readonly<Record<string, string>> = {
  openai: "https://api.openai.com/v1",
  azure: "https://test.openai.azure.com/openai/v1",
  groq: "https://api.groq.com/openai/v1",
  deepseek: "https://api.deepseek.com",
  openrouter: "https://openrouter.ai/api/v1",
  together: "https://api.together.xyz/v1",
  cerebras: "https://api.cerebras.ai/v1",
};

export interface Exchange {
  readonly name: string;
  readonly n: number;
  readonly provider: string;
  readonly path: string;
  readonly req: JsonObject;
  readonly status: number;
  readonly stream: boolean;
  readonly res: string;
}

function readExchanges(vendor: string): Exchange[] {
  const path = `${RECORDED}/${vendor}.jsonl.gz`;
  if (!existsSync(path)) return [];
  const lines = gunzipSync(readFileSync(path)).toString("utf8").trim().split("\n");
  return lines.map((line): Exchange => ({ ...JSON.parse(line), provider: vendor }));
}

const exchanges = Object.keys(addresses).flatMap(readExchanges);

export const absent = exchanges.length === 0;
export const chats = exchanges.filter(
  ({ path, req }) => path.includes("/chat/completions") && isJsonObject(req),
);
/** OpenRouter once put an error into a 200. */
export const answers = chats.filter(
  ({ status, stream, res }) => status === 200 && !stream && JSON.parse(res).error === undefined,
);
export const streams = chats.filter(({ status, stream }) => status === 200 && stream);
export const faults = chats.filter(({ status }) => status >= 400);
/** Of the time before chat. */
export const completions = exchanges.filter(
  ({ path, status }) => path === "/v1/completions" && status === 200,
);
export const embeddings = exchanges.filter(
  ({ path, status }) => path.endsWith("/embeddings") && status === 200,
);

export function label(exchange: Exchange): [string, Exchange] {
  return [`${exchange.provider} ${exchange.name} #${exchange.n}`, exchange];
}

/** A target at the vendor that was recorded. */
export function targetOf(exchange: Exchange): Target {
  const baseUrls = [addresses[exchange.provider] ?? ""];
  const provider = createTestProvider(`providers/${exchange.provider}`, "openai", { baseUrls });
  return createTestTarget({ provider, upstreamModel: "upstream" });
}

/** Feeds a stream in pieces of one to some bytes, so that they end inside characters and frames alike. */
export function feed(reader: StreamReader, res: string, seed: number): ChatChunk[] {
  const random = createSeededRandom(seed);
  const bytes = Buffer.from(res);
  const framer = new SseFramer();
  const chunks: ChatChunk[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = Math.min(bytes.length, at + 1 + Math.floor(random.unit() ** 3 * 3000));
    const frames = framer.push(bytes.subarray(at, end));
    at = end;
    const chunk = frames === undefined ? undefined : reader.read(frames);
    if (chunk !== undefined) chunks.push(chunk);
  }
  return chunks;
}

/** The chunks of a recorded stream as JSON, without `[DONE]`. */
export function listChunks(res: string): JsonObject[] {
  const chunks: JsonObject[] = [];
  readFrames(Buffer.from(res), (_event, data) => {
    if (data !== "" && data !== "[DONE]") chunks.push(JSON.parse(data));
  });
  return chunks;
}

export function field(value: JsonValue | undefined, ...path: (string | number)[]): JsonValue {
  let at: JsonValue | undefined = value;
  for (const name of path) {
    if (typeof name === "number") at = Array.isArray(at) ? at[name] : undefined;
    else at = isJsonObject(at) ? at[name] : undefined;
  }
  return at ?? null;
}
