import { describe, expect, it } from "vitest";
import type { Message } from "../../gen/weir/v1/chat_pb.ts";
import { anthropicChat } from "../../src/dialects/anthropic/index.ts";
import { openaiChat } from "../../src/dialects/openai/index.ts";
import { readFrames } from "../../src/dialects/sse.ts";
import { createChatAsk } from "../../src/dialects/typed-ask.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../src/mesh/json.ts";
import {
  absent,
  answers,
  decodeAnswer,
  decodeStream,
  type Exchange,
  encodeStream,
  gather,
  label,
  listBlocks,
  messages,
  RECORDED,
  streams,
  targetOf,
  textOf,
} from "./anthropic-exchanges.ts";

/** What a client of OpenAI asks so that it is told the usage of a stream. */
const OPENAI_ASK = openaiChat.client.readAsk(
  {
    model: "m",
    messages: [{ role: "user", content: "?" }],
    stream: true,
    stream_options: { include_usage: true },
  },
  1,
);

describe.skipIf(absent)(
  `recorded Anthropic exchanges for callers of OpenAI (skipped where ${RECORDED} is absent)`,
  () => {
    it.each(answers.map(label))("%s: the answer keeps what it says", (_name, exchange) => {
      const response = decodeAnswer(exchange);
      const written = openaiChat.client.writeAnswer(response);
      const recorded: JsonObject = JSON.parse(exchange.res);
      const choice = at(written.choices, 0);
      const message = choice.message;
      if (!isJsonObject(message)) throw new Error("no message");
      const blocks = listBlocks(recorded.content);
      expect(message.content ?? "").toBe(textOf(blocks));
      expect(callsOf(message.tool_calls)).toEqual(callsOfBlocks(blocks));
      expect(choice.finish_reason).toBe(
        recorded.stop_reason === "tool_use" ? "tool_calls" : "stop",
      );
      expectOpenAiUsage(written.usage, recorded.usage);
    });

    it.each(streams.map(label))("%s: the stream keeps what it says", (_name, exchange) => {
      const { events, end } = decodeStream(exchange, 9);
      const text = encodeStream(openaiChat.client, OPENAI_ASK, { events, end });
      const deltas = openAiDeltas(text);
      const blocks = gather(exchange.res);
      expect(deltas.text).toBe(textOf(blocks));
      expect(deltas.calls).toEqual(callsOfBlocks(blocks));
      const reason = end.finish.raw === "tool_use" ? "tool_calls" : "stop";
      expect(deltas.finishReasons).toEqual([reason]);
    });

    it.each(messages.filter(isPortable).map(label))(
      "%s: the request arrives with the same text and tools",
      (_name, exchange) => {
        const chat = anthropicChat.client.readAsk(exchange.req, 1).chat();
        const target = { ...targetOf(exchange), upstreamModel: "gpt" };
        const sent = openaiChat.vendor.writeRequest(createChatAsk(chat, false, 1), target, []);
        const arrived = openaiChat.client.readAsk(JSON.parse(sent.body), 1).chat();
        expect(listSaid(arrived.messages)).toEqual(listSaid(chat.messages));
        expect(arrived.tools.map(({ tool }) => tool)).toEqual(chat.tools.map(({ tool }) => tool));
      },
    );
  },
);

function expectOpenAiUsage(written: JsonValue | undefined, recorded: JsonValue | undefined): void {
  if (!isJsonObject(written) || !isJsonObject(recorded)) throw new Error("no usage");
  const input = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
  const sum = input.reduce((total, name) => total + Number(recorded[name] ?? 0), 0);
  expect(written.prompt_tokens).toBe(sum);
  expect(written.completion_tokens).toBe(recorded.output_tokens);
  expect(written.total_tokens).toBe(sum + Number(recorded.output_tokens));
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

function callsOf(calls: JsonValue | undefined): Call[] {
  return listBlocks(calls).map((call) => {
    const target = isJsonObject(call.function) ? call.function : {};
    return { id: call.id, name: target.name, input: JSON.parse(String(target.arguments)) };
  });
}

function at(list: JsonValue | undefined, index: number): JsonObject {
  const item = Array.isArray(list) ? list[index] : undefined;
  return isJsonObject(item) ? item : {};
}

function openAiDeltas(text: string) {
  const found = { text: "", finishReasons: [] as JsonValue[], calls: [] as Call[] };
  const calls: Array<{ id: string; name: string; json: string }> = [];
  readFrames(Buffer.from(text), (_name, data) => {
    if (data === "[DONE]") return;
    const choice = at(JSON.parse(data).choices, 0);
    const delta = isJsonObject(choice.delta) ? choice.delta : {};
    if (typeof delta.content === "string") found.text += delta.content;
    if (choice.finish_reason) found.finishReasons.push(choice.finish_reason);
    for (const piece of listBlocks(delta.tool_calls)) {
      const index = Number(piece.index);
      calls[index] ??= { id: "", name: "", json: "" };
      const target = isJsonObject(piece.function) ? piece.function : {};
      calls[index].id += piece.id ?? "";
      calls[index].name += target.name ?? "";
      calls[index].json += target.arguments ?? "";
    }
  });
  found.calls = calls.map(({ id, name, json }) => ({ id, name, input: JSON.parse(json) }));
  return found;
}

/** Requests without what only Anthropic has, which other targets refuse. */
function isPortable(exchange: Exchange): boolean {
  const chat = anthropicChat.client.readAsk(exchange.req, 1).chat();
  const isVendor = JSON.stringify(chat.messages, skipBigints).includes('"case":"vendor"');
  return !isVendor && chat.tools.every(({ tool }) => tool.case === "function");
}

function skipBigints(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? Number(value) : value;
}

/**
 * Texts, calls and results of a conversation in order, whichever messages they stand in. OpenAI
 * takes text documents as text, and files of tool results in a message of their own with a heading.
 */
function listSaid(list: readonly (Message | undefined)[]): unknown[] {
  return list.flatMap((message) =>
    (message?.parts ?? []).flatMap(({ part }): unknown[] => {
      if (part.case === "text") return isSaid(part.value.text) ? [part.value.text] : [];
      if (part.case === "toolCall") {
        return [{ id: part.value.id, input: JSON.parse(part.value.arguments) }];
      }
      if (part.case === "toolResult") return [part.value.toolCallId];
      if (part.case !== "file" || !part.value.blob?.mediaType.startsWith("text/")) return [];
      const { source } = part.value.blob;
      return source.case === "data" ? [Buffer.from(source.value).toString("utf8")] : [];
    }),
  );
}

function isSaid(text: string): boolean {
  return text !== "" && !text.startsWith("Content of tool result ");
}
