import { describe, expect, it } from "vitest";
import type { CreateChatResponse } from "../../gen/weir/v1/chat_service_pb.ts";
import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import { anthropicChat, readCountAsk } from "../../src/dialects/anthropic/index.ts";
import type { ChatEvent } from "../../src/mesh/chunk.ts";
import { AnswerFold } from "../../src/mesh/fold.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../src/mesh/json.ts";
import { sumInputTokens, sumOutputTokens } from "../../src/mesh/usage.ts";
import {
  absent,
  answers,
  counts,
  decodeAnswer,
  decodeStream,
  type Exchange,
  encodeStream,
  eventsOf,
  gather,
  label,
  listBlocks,
  messages,
  RECORDED,
  readStream,
  streams,
  targetOf,
  typedAsk,
} from "./anthropic-exchanges.ts";

describe.skipIf(absent)(
  `recorded Anthropic exchanges (skipped where ${RECORDED} is absent)`,
  () => {
    it("are all there", () => {
      expect(messages.length).toBeGreaterThan(100);
      expect(streams.length).toBeGreaterThan(10);
    });

    describe("passed through", () => {
      it.each(messages.map(label))("%s: the request arrives as it was", (_name, exchange) => {
        const ask = anthropicChat.client.readAsk(exchange.req, 1);
        const sent = anthropicChat.vendor.writeRequest(ask, targetOf(exchange), []);
        expect(JSON.parse(sent.body)).toEqual(exchange.req);
      });

      it.each(answers.map(label))("%s: the answer goes back as it was", (_name, exchange) => {
        const ask = anthropicChat.client.readAsk(exchange.req, 1);
        const { chunk, end } = anthropicChat.vendor.readAnswer(Buffer.from(exchange.res), ask);
        expect(chunk.wire?.bytes.toString("utf8")).toBe(exchange.res);
        expectUsage(end.usage, JSON.parse(exchange.res).usage);
      });

      it.each(streams.map(label))("%s: the stream goes back as it was", (_name, exchange) => {
        const ask = anthropicChat.client.readAsk(exchange.req, 1);
        for (let seed = 1; seed <= 20; seed++) {
          const reading = readStream(exchange, ask, seed);
          const wire = Buffer.concat(
            reading.chunks.map((chunk) => chunk.wire?.bytes ?? Buffer.of()),
          );
          expect(wire.toString("utf8")).toBe(withoutStop(exchange.res));
          expect(reading.reader.ended).toBe(true);
          expectUsage(reading.end.usage, finalUsage(exchange.res));
        }
      });

      it.each(streams.map(label))("%s: the relay decodes to the same events", (_name, exchange) => {
        const ask = anthropicChat.client.readAsk(exchange.req, 1);
        const relayed = readStream(exchange, ask, 7).chunks.flatMap((chunk) => chunk.events());
        expect(relayed).toEqual(decodeStream(exchange, 3).events);
      });

      it.each(counts.map(label))("%s: the count is read", (_name, exchange) => {
        const { counting } = anthropicChat.vendor;
        const ask = readCountAsk(exchange.req, 1);
        const sent = counting?.writeRequest(ask, targetOf(exchange), []);
        expect(sent?.path).toBe("/messages/count_tokens");
        expect(JSON.parse(sent?.body ?? "")).toEqual(exchange.req);
        const tokens = counting?.readAnswer(Buffer.from(exchange.res));
        expect(tokens).toBe(JSON.parse(exchange.res).input_tokens);
      });
    });

    describe("through the protobuf message", () => {
      it.each(messages.map(label))("%s: the request says the same", (_name, exchange) => {
        const warnings: string[] = [];
        const sent = writeTyped(exchange, warnings);
        expect(normaliseRequest(sent)).toEqual(normaliseRequest(exchange.req));
        expect(warnings).toEqual([]);
      });

      it.each(answers.map(label))("%s: the answer says the same", (_name, exchange) => {
        const written = anthropicChat.client.writeAnswer(decodeAnswer(exchange));
        const recorded: JsonObject = JSON.parse(exchange.res);
        expect(normaliseContent(written.content)).toEqual(normaliseContent(recorded.content));
        expect(written.stop_reason).toEqual(recorded.stop_reason);
        expect(written.stop_sequence).toEqual(recorded.stop_sequence);
        expect(normaliseUsage(written.usage)).toMatchObject(normaliseUsage(recorded.usage));
        const isCounted =
          isJsonObject(recorded.usage) && recorded.usage.cache_creation !== undefined;
        if (isCounted)
          expect(normaliseUsage(written.usage)).toEqual(normaliseUsage(recorded.usage));
        for (const name of ["container", "context_management"]) {
          expect(written[name]).toEqual(recorded[name]);
        }
      });

      it.each(streams.map(label))("%s: the stream says the same", (_name, exchange) => {
        const { events, end } = decodeStream(exchange, 5);
        const text = encodeStream(anthropicChat.client, typedAsk(exchange), { events, end });
        const again = { ...exchange, res: text };
        const second = decodeStream(again, 6);
        expect(fold(second.events)).toEqual(fold(events));
        expect(second.end.finish).toEqual(end.finish);
        expect(second.end.usage).toEqual(end.usage);
        expect(summarise(gather(text))).toEqual(summarise(gather(exchange.res)));
      });
    });
  },
);

function writeTyped(exchange: Exchange, warnings: string[]): JsonObject {
  const ask = typedAsk(exchange);
  return JSON.parse(anthropicChat.vendor.writeRequest(ask, targetOf(exchange), warnings).body);
}

function fold(events: readonly ChatEvent[]): CreateChatResponse {
  const answer = new AnswerFold();
  for (const event of events) answer.add(event);
  return answer.response();
}

function withoutStop(res: string): string {
  const end = res.lastIndexOf("event: message_stop");
  return res.slice(0, end);
}

function finalUsage(res: string): JsonObject {
  let usage: JsonObject = {};
  for (const event of eventsOf(res)) {
    const message = event.message;
    if (isJsonObject(message) && isJsonObject(message.usage)) usage = { ...message.usage };
    if (isJsonObject(event.usage)) usage = { ...usage, ...event.usage };
  }
  return usage;
}

/**
 * Blocks, adjacent texts as one: the events of Weir do not tell where one ends and the next begins.
 */
function summarise(blocks: readonly JsonObject[]): JsonObject[] {
  const summary: Array<Record<string, JsonValue | undefined>> = [];
  for (const block of blocks) {
    const { caller: _, ...plain } = block;
    const last = summary.at(-1);
    if (plain.type === "text" && last?.type === "text") last.text = `${last.text}${plain.text}`;
    else if (plain.type !== "text" || plain.text !== "") summary.push({ ...plain });
  }
  return summary;
}

/**
 * What may differ between two requests that say the same: a string and one text block, tool results
 * that say that they are no errors, the caller that every call has by default, and descriptions
 * that say nothing.
 */
function normaliseRequest(request: JsonObject): JsonObject {
  const { system, messages: turns, stream, output_format: format, ...rest } = request;
  const normal: Record<string, JsonValue | undefined> = { ...rest };
  if (system !== undefined) normal.system = normaliseContent(system);
  if (stream === true) normal.stream = true;
  if (normal.max_tokens === undefined) normal.max_tokens = 4096;
  const list = Array.isArray(turns) ? turns : [];
  normal.messages = list.map((turn) => ({
    role: turn.role,
    content: normaliseContent(turn.content),
  }));
  if (isJsonObject(format)) normal.output_config = { format };
  normal.tools = listBlocks(request.tools).map(({ description, ...tool }) => {
    return description === "" ? tool : { ...tool, description };
  });
  return normal;
}

function normaliseContent(content: JsonValue | undefined): JsonValue {
  if (typeof content === "string") return [{ type: "text", text: content }];
  return listBlocks(content).map((block) => {
    const { is_error: isError, caller, citations, ...rest } = block;
    const normal: Record<string, JsonValue | undefined> = { ...rest };
    if (isError === true) normal.is_error = true;
    if (isJsonObject(caller) && caller.type !== "direct") normal.caller = caller;
    if (Array.isArray(citations) && citations.length > 0) normal.citations = citations;
    if (isJsonObject(citations)) normal.citations = citations;
    if (block.type === "tool_result") normal.content = normaliseContent(block.content);
    return normal as JsonObject;
  });
}

/** Counts that are not there and counts of zero say the same here. */
function normaliseUsage(usage: JsonValue | undefined): JsonObject {
  const normal: Record<string, JsonValue | undefined> = {};
  if (!isJsonObject(usage)) return normal;
  for (const [name, value] of Object.entries(usage)) {
    const kept = isJsonObject(value) ? normaliseUsage(value) : value;
    const isEmpty = isJsonObject(kept) && Object.keys(kept).length === 0;
    if (kept !== 0 && kept !== null && !isEmpty) normal[name] = kept;
  }
  return normal;
}

function expectUsage(usage: Usage | undefined, recorded: JsonObject): void {
  if (usage === undefined) throw new Error("no usage");
  const input = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
  const sum = input.reduce((total, name) => total + Number(recorded[name] ?? 0), 0);
  expect(sumInputTokens(usage)).toBe(sum);
  expect(usage.inputTokens).toBe(recorded.input_tokens);
  expect(usage.cacheReadTokens).toBe(Number(recorded.cache_read_input_tokens ?? 0));
  expect(sumOutputTokens(usage)).toBe(recorded.output_tokens);
  expect(usage.estimated).toBe(false);
}
