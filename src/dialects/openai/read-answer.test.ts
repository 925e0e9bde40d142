import { describe, expect, it } from "vitest";
import { FinishReason } from "../../../gen/weir/v1/chat_pb.ts";
import { MeshError } from "../../mesh/errors.ts";
import type { JsonObject } from "../../mesh/json.ts";
import { createChatAsk } from "../typed-ask.ts";
import { readChatAsk } from "./chat-ask.ts";
import { readAnswer } from "./read-answer.ts";
import { writeAnswer } from "./write-answer.ts";

const passing = readChatAsk({ model: "m", messages: [{ role: "user", content: "hi" }] }, 1);
const typed = createChatAsk(passing.chat(), false, 1);

function read(text: string): ReturnType<typeof readAnswer> {
  return readAnswer(Buffer.from(text), typed);
}

function answerOf(message: JsonObject, finish = "stop"): ReturnType<typeof read> {
  const choices = [{ index: 0, message, finish_reason: finish }];
  return read(JSON.stringify({ id: "c", created: 5, model: "v", choices, extra: 1 }));
}

describe("readAnswer()", () => {
  const bad: Array<[string, string]> = [
    ["", "UPSTREAM_GARBLED"],
    ["<html>", "UPSTREAM_GARBLED"],
    ["[]", "UPSTREAM_GARBLED"],
    ["{}", "UPSTREAM_GARBLED"],
    ['{"choices":[]}', "UPSTREAM_GARBLED"],
    ['{"choices":[1]}', "UPSTREAM_GARBLED"],
    ['{"error":{"message":"no","code":429}}', "UPSTREAM_RATE_LIMITED"],
    ['{"object":"error","message":"no","code":400}', "UPSTREAM_REFUSED"],
  ];
  for (const [body, reason] of bad) {
    it(`refuses ${body || "nothing"} with ${reason}`, () => {
      expect(() => read(body)).toThrow(expect.objectContaining({ reason }));
    });
  }

  it("refuses a garbled tool call only when somebody wants it", () => {
    const reading = answerOf({ tool_calls: [{ id: "a" }] });
    expect(() => reading.chunk.answer?.()).toThrow(MeshError);
  });

  it("keeps what it has no place for", () => {
    const response = answerOf({ content: "a" }).chunk.answer?.();
    expect(response?.vendorFields).toBe('{"extra":1}');
    expect(response?.upstreamModelVersion).toBe("v");
    expect(response?.createTime?.seconds).toBe(5n);
  });

  it("calls it tool calls when a vendor says stop after them", () => {
    const call = { id: "a", type: "function", function: { name: "f", arguments: {} } };
    const reading = answerOf({ content: null, tool_calls: [call] });
    expect(reading.end.finish).toMatchObject({ reason: FinishReason.TOOL_CALLS, raw: "stop" });
    const part = reading.chunk.answer?.().choices[0]?.message?.parts[0]?.part;
    expect(part?.value).toMatchObject({ id: "a", arguments: "{}" });
  });

  it("reads Mistral's list of thoughts and texts", () => {
    const thinking = { type: "thinking", thinking: [{ type: "text", text: "hm" }] };
    const response = answerOf({
      content: [thinking, { type: "text", text: "4" }],
    }).chunk.answer?.();
    expect(response?.choices[0]?.message?.parts.map(({ part }) => part)).toMatchObject([
      { case: "reasoning", value: { text: "hm" } },
      { case: "text", value: { text: "4" } },
    ]);
  });

  it("keeps sound, pictures and sources", () => {
    const message = {
      content: "see",
      annotations: [
        { type: "url_citation", url_citation: { url: "https://x", start_index: 0, end_index: 3 } },
      ],
      audio: { id: "a1", data: "AAAA", transcript: "hi", expires_at: 9 },
      images: [{ type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } }],
    };
    const response = answerOf(message).chunk.answer?.();
    if (response === undefined) throw new Error("no answer");
    expect(writeAnswer(response)).toMatchObject({ choices: [{ message }] });
  });

  it("passes the body on in its own dialect", () => {
    const body = Buffer.from('{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}');
    expect(readAnswer(body, passing).chunk.wire?.bytes).toBe(body);
    expect(readAnswer(body, typed).chunk.wire).toBeUndefined();
  });
});
