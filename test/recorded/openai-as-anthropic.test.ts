import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { anthropicChat } from "../../src/dialects/anthropic/index.ts";
import { openaiChat } from "../../src/dialects/openai/index.ts";
import { readFrames } from "../../src/dialects/sse.ts";
import { MeshError } from "../../src/mesh/errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../src/mesh/json.ts";
import { createTestAsk } from "../support/calls.ts";
import { createTestTarget } from "../support/targets.ts";
import { encodeStream, gather, listBlocks, textOf } from "./anthropic-exchanges.ts";

const FOLDER = "../shared/fixtures/recorded";

interface Exchange {
  readonly name: string;
  readonly path: string;
  readonly req: JsonObject;
  readonly status: number;
  readonly stream: boolean;
  readonly res: string;
}

function readExchanges(vendor: string): Exchange[] {
  const path = `${FOLDER}/${vendor}.jsonl.gz`;
  if (!existsSync(path)) return [];
  const lines = gunzipSync(readFileSync(path)).toString("utf8").trim().split("\n");
  const all = lines.map((line): Exchange => JSON.parse(line));
  return all.filter(({ path, status, res }) => {
    return path.endsWith("/chat/completions") && status === 200 && !res.includes("event: error");
  });
}

for (const vendor of ["openai", "groq", "deepseek", "openrouter"]) {
  const exchanges = readExchanges(vendor);
  const absent = exchanges.length === 0;
  describe.skipIf(absent)(`${vendor} for callers of Anthropic (skipped without ${FOLDER})`, () => {
    it("keeps what answers say", () => {
      for (const exchange of exchanges.filter(({ stream }) => !stream)) {
        const body = Buffer.from(exchange.res);
        const response = openaiChat.vendor.readAnswer(body, createTestAsk()).chunk.answer?.();
        if (response === undefined) throw new Error("no answer");
        const message = anthropicChat.client.writeAnswer(response);
        const said = messageOf(JSON.parse(exchange.res));
        if (said.refusal || said.audio || said.function_call) continue;
        const blocks = listBlocks(message.content);
        expect(textOf(blocks), exchange.name).toBe(said.content ?? "");
        expect(countTools(blocks), exchange.name).toBe(listBlocks(said.tool_calls).length);
      }
    });

    it("keeps what streams say", () => {
      for (const exchange of exchanges.filter(({ stream }) => stream)) {
        const reader = openaiChat.vendor.createStreamReader(createTestAsk());
        const events = reader.read(Buffer.from(exchange.res))?.events() ?? [];
        const stream = { events, end: reader.end() };
        const text = encodeStream(anthropicChat.client, createTestAsk(), stream);
        const said = gatherDeltas(exchange.res);
        expect(textOf(gather(text)), exchange.name).toBe(said.text);
        if (!said.legacy) expect(countTools(gather(text)), exchange.name).toBe(said.tools);
      }
    });

    it("writes requests, or says which part it cannot", () => {
      for (const { req } of exchanges) {
        const ask = openaiChat.client.readAsk(req, 1);
        try {
          const target = createTestTarget({ upstreamModel: "claude-sonnet-4-5" });
          const sent = JSON.parse(anthropicChat.vendor.writeRequest(ask, target, []).body);
          expect(sent.messages.length).toBeGreaterThan(0);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(MeshError);
          expect(thrown).toMatchObject({ reason: "INVALID_REQUEST" });
        }
      }
    });
  });
}

function messageOf(answer: JsonObject): JsonObject {
  const choice = listBlocks(answer.choices)[0]?.message;
  return isJsonObject(choice) ? choice : {};
}

function countTools(blocks: readonly JsonObject[]): number {
  return blocks.filter((block) => block.type === "tool_use").length;
}

function gatherDeltas(res: string): { text: string; tools: number; legacy: boolean } {
  const indexes = new Set<JsonValue | undefined>();
  const said = { text: "", legacy: false };
  readFrames(Buffer.from(res), (_name, data) => {
    if (data === "[DONE]") return;
    const delta = listBlocks(JSON.parse(data).choices)[0]?.delta;
    if (!isJsonObject(delta)) return;
    if (typeof delta.content === "string") said.text += delta.content;
    if (delta.function_call) said.legacy = true;
    for (const call of listBlocks(delta.tool_calls)) indexes.add(call.index);
  });
  return { ...said, tools: indexes.size };
}
