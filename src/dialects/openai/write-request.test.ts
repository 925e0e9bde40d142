import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  ChatSchema,
  Reasoning_Effort as Effort,
  ToolChoice_Mode as Mode,
  Role,
} from "../../../gen/weir/v1/chat_pb.ts";
import { createTestProvider, createTestTarget } from "../../../test/support/targets.ts";
import type { JsonObject } from "../../mesh/json.ts";
import type { Target } from "../../mesh/target.ts";
import { createChatAsk } from "../typed-ask.ts";
import { readChatAsk } from "./chat-ask.ts";
import { writeChatRequest } from "./write-request.ts";

function targetAt(address: string, fields: Partial<Target> = {}): Target {
  const provider = createTestProvider("providers/p", "openai", { baseUrls: [address] });
  return createTestTarget({ provider, upstreamModel: "up", ...fields });
}

const openAi = targetAt("https://api.openai.com/v1");
const local = targetAt("http://127.0.0.1:8000/v1");
const openRouter = targetAt("https://openrouter.ai/api/v1");

const messages = [{ role: "user", content: "hi" }];

function pass(fields: JsonObject, target = local): { body: JsonObject; warnings: string[] } {
  const warnings: string[] = [];
  const ask = readChatAsk({ model: "m", messages, ...fields }, 1);
  return { body: JSON.parse(writeChatRequest(ask, target, warnings).body), warnings };
}

function translate(
  chat: MessageInitShape<typeof ChatSchema>,
  target = local,
): { body: JsonObject; warnings: string[] } {
  const warnings: string[] = [];
  const ask = createChatAsk(create(ChatSchema, chat), false, 1);
  return { body: JSON.parse(writeChatRequest(ask, target, warnings).body), warnings };
}

describe("writeChatRequest() in the same dialect", () => {
  it("changes nothing but the model", () => {
    const fields = { anything: { x: [1, null] }, temperature: 0.5, store: null };
    expect(pass(fields).body).toEqual({ model: "up", messages, ...fields });
  });

  it("takes out what Weir has dealt with", () => {
    const fields = { models: ["a"], provider: { order: ["x"] }, session_id: "s", usage: {} };
    expect(pass(fields).body).toEqual({ model: "up", messages });
  });

  it("leaves OpenRouter its own words, but for the routing", () => {
    const own = { session_id: "s", usage: { include: true }, reasoning: { effort: "high" } };
    expect(pass({ ...own, models: ["a"] }, openRouter).body).toEqual({
      model: "up",
      messages,
      ...own,
    });
  });

  it("says OpenRouter's wish to reason in OpenAI's word for others", () => {
    const { body, warnings } = pass({ reasoning: { effort: "high", max_tokens: 5 } });
    expect(body).toEqual({ model: "up", messages, reasoning_effort: "high" });
    expect(warnings).toHaveLength(1);
  });

  it("asks for usage in streams and keeps the other options", () => {
    const { body } = pass({ stream: true, stream_options: { include_obfuscation: false } });
    expect(body.stream_options).toEqual({ include_obfuscation: false, include_usage: true });
    expect(pass({}).body.stream_options).toBeUndefined();
  });

  it("lays the target's overrides over everything", () => {
    const target = targetAt("http://x/v1", { overrides: { temperature: 1, model: "forced" } });
    expect(pass({ temperature: 0 }, target).body).toMatchObject({
      temperature: 1,
      model: "forced",
    });
  });

  it("never changes the caller's body", () => {
    const body = Object.freeze({ model: "m", messages, stream: true, models: ["a"] });
    writeChatRequest(readChatAsk(body, 1), local, []);
    expect(body).toEqual({ model: "m", messages, stream: true, models: ["a"] });
  });

  it("passes on a body of a hundred thousand levels, and decodes it", () => {
    const text = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    const ask = readChatAsk({ model: "m", messages, deep: JSON.parse(text) }, 1);
    expect(writeChatRequest(ask, local, []).body).toContain(text);
    expect(ask.chat().providerOptions).toContain(text);
  });
});

describe("writeChatRequest() from the message", () => {
  const text = (value: string) => ({
    part: { case: "text" as const, value: { text: value } },
  });

  it("says limits and developers as OpenAI does, and as others do", () => {
    const chat = {
      messages: [{ role: Role.DEVELOPER, parts: [text("be brief")] }],
      sampling: { maxTokens: 5, topK: 3 },
    };
    const strict = translate(chat, openAi);
    expect(strict.body).toEqual({
      model: "up",
      messages: [{ role: "developer", content: "be brief" }],
      max_completion_tokens: 5,
    });
    expect(strict.warnings).toEqual(["top_k left out: the target has none"]);
    expect(translate(chat).body).toEqual({
      model: "up",
      messages: [{ role: "system", content: "be brief" }],
      max_tokens: 5,
      top_k: 3,
    });
  });

  it("makes messages of results, and puts their pictures after the last", () => {
    const image = {
      part: {
        case: "image" as const,
        value: { blob: { source: { case: "uri" as const, value: "https://x/a.png" } } },
      },
    };
    const result = (toolCallId: string, parts: Array<ReturnType<typeof text> | typeof image>) => ({
      part: { case: "toolResult" as const, value: { toolCallId, parts } },
    });
    const { body } = translate({
      messages: [
        { role: Role.TOOL, parts: [result("a", [text("1"), image])] },
        { role: Role.USER, parts: [result("b", [text("2")]), text("and now?")] },
      ],
    });
    expect(body.messages).toEqual([
      { role: "tool", tool_call_id: "a", content: "1" },
      { role: "tool", tool_call_id: "b", content: "2" },
      {
        role: "user",
        content: [
          { type: "text", text: "Content of tool result a:" },
          { type: "image_url", image_url: { url: "https://x/a.png" } },
          { type: "text", text: "and now?" },
        ],
      },
    ]);
  });

  it("gives thoughts back to those who take them", () => {
    const thought = { text: "hm", signature: "s" };
    const chat = {
      messages: [
        {
          role: Role.ASSISTANT,
          parts: [{ part: { case: "reasoning" as const, value: thought } }, text("4")],
        },
      ],
    };
    expect(translate(chat, openAi).body.messages).toEqual([{ role: "assistant", content: "4" }]);
    expect(translate(chat).body.messages).toEqual([
      { role: "assistant", content: "4", reasoning_content: "hm" },
    ]);
    expect(translate(chat, openRouter).body.messages).toMatchObject([
      { reasoning_details: [{ type: "reasoning.text", text: "hm", signature: "s", index: 0 }] },
    ]);
  });

  it("names a custom tool as one", () => {
    const { body } = translate({
      tools: [{ tool: { case: "custom", value: { name: "sql", format: '{"type":"text"}' } } }],
      toolChoice: { mode: Mode.NAMED, name: "sql", parallel: false },
    });
    expect(body).toMatchObject({
      tools: [{ type: "custom", custom: { name: "sql", format: { type: "text" } } }],
      tool_choice: { type: "custom", custom: { name: "sql" } },
      parallel_tool_calls: false,
    });
  });

  it("writes efforts, and OpenRouter's in its own form", () => {
    const chat = { reasoning: { effort: Effort.MAX, maxTokens: 9 } };
    expect(translate(chat).body.reasoning_effort).toBe("xhigh");
    expect(translate(chat, openRouter).body.reasoning).toEqual({ effort: "xhigh", max_tokens: 9 });
  });

  it("lays options of this dialect over the body and lists the others", () => {
    const providerOptions = '{"openai":{"service_tier":"flex"},"anthropic":{"container":1}}';
    const { body, warnings } = translate({ providerOptions });
    expect(body.service_tier).toBe("flex");
    expect(warnings).toEqual(["anthropic field container left out"]);
  });

  it("refuses a piece that only another dialect has", () => {
    const value = { dialect: "anthropic", json: "{}" };
    const parts = [{ part: { case: "vendor" as const, value } }];
    expect(() => translate({ messages: [{ role: Role.USER, parts }] })).toThrow("only anthropic");
  });

  it("keeps a piece of its own dialect as it was", () => {
    const value = { dialect: "openai", json: '{"type":"video_url","video_url":{"url":"u"}}' };
    const parts = [{ part: { case: "vendor" as const, value } }];
    expect(translate({ messages: [{ role: Role.USER, parts }] }).body.messages).toEqual([
      { role: "user", content: [{ type: "video_url", video_url: { url: "u" } }] },
    ]);
  });

  it("breaks no prompt cache where there is none to mark", () => {
    const parts = [{ ...text("x"), cacheBreakpoint: { ttl: { seconds: 3600n } } }];
    const chat = { messages: [{ role: Role.SYSTEM, parts }] };
    expect(translate(chat).body.messages).toEqual([{ role: "system", content: "x" }]);
    expect(translate(chat, openRouter).body.messages).toEqual([
      {
        role: "system",
        content: [{ type: "text", text: "x", cache_control: { type: "ephemeral", ttl: "1h" } }],
      },
    ]);
  });
});
