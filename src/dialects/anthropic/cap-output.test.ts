import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ChatSchema, Reasoning_Effort, Role } from "../../../gen/weir/v1/chat_pb.ts";
import { createTestTarget } from "../../../test/support/targets.ts";
import type { JsonObject } from "../../mesh/json.ts";
import { readChatAsk } from "../openai/chat-ask.ts";
import { createChatAsk } from "../typed-ask.ts";
import { readCountAsk } from "./read-request.ts";
import { writeRequest } from "./write-request.ts";

const messages = [{ role: "user", content: "hi" }];

/** What is sent of a body of this dialect. */
function pass(fields: JsonObject, most: number, overrides?: JsonObject) {
  const warnings: string[] = [];
  const ask = readCountAsk({ model: "m", messages, ...fields }, 1);
  const target = createTestTarget({ upstreamModel: "claude-sonnet-4-5", overrides });
  const body: JsonObject = JSON.parse(writeRequest(ask, target, warnings, most).body);
  return { body, warnings };
}

function translate(chat: MessageInitShape<typeof ChatSchema>, most: number): JsonObject {
  const parts = [{ part: { case: "text", value: { text: "hi" } } }] as const;
  const question = { messages: [{ role: Role.USER, parts: [...parts] }], ...chat };
  const ask = createChatAsk(create(ChatSchema, question), false, 1);
  const target = createTestTarget({ upstreamModel: "claude-sonnet-4-5" });
  return JSON.parse(writeRequest(ask, target, [], most).body);
}

describe("a cap of output tokens", () => {
  const cases: ReadonlyArray<readonly [string, number | null | undefined, number]> = [
    ["is written where there is none", undefined, 100],
    ["is written where it is null", null, 100],
    ["lowers a higher one", 1_000_000_000, 100],
    ["leaves a lower one", 99, 99],
    ["replaces zero", 0, 100],
  ];
  for (const [name, given, expected] of cases) {
    it(name, () => {
      const fields = given === undefined ? {} : { max_tokens: given };
      expect(pass({}, 100, fields).body.max_tokens).toBe(expected);
      if (given !== 0) expect(pass(fields, 100).body.max_tokens).toBe(expected);
    });
  }

  it("wins over the target's overrides", () => {
    expect(pass({ max_tokens: 5 }, 100, { max_tokens: 8_000 }).body.max_tokens).toBe(100);
    expect(pass({ max_tokens: 500 }, 100, { max_tokens: 50 }).body.max_tokens).toBe(50);
  });

  it("is written into what is translated, over the dialect's default and own options", () => {
    expect(translate({}, 100).max_tokens).toBe(100);
    expect(translate({}, 100_000).max_tokens).toBe(4_096);
    expect(translate({ sampling: { maxTokens: 500 } }, 100).max_tokens).toBe(100);
    const providerOptions = JSON.stringify({ anthropic: { max_tokens: 9_999 } });
    expect(translate({ providerOptions }, 100).max_tokens).toBe(100);
    const ask = readChatAsk({ model: "m", messages, max_completion_tokens: 500 }, 1);
    const { body } = writeRequest(ask, createTestTarget(), [], 100);
    expect(JSON.parse(body).max_tokens).toBe(100);
  });

  it("lowers a budget of thoughts with it", () => {
    const thinking = { type: "enabled", budget_tokens: 10_000 };
    const { body, warnings } = pass({ max_tokens: 16_000, thinking }, 5_000);
    expect(body).toMatchObject({ max_tokens: 5_000, thinking: { budget_tokens: 4_000 } });
    expect(warnings).toHaveLength(1);
  });

  it("leaves a budget that fits, and thoughts without one", () => {
    const thinking = { type: "enabled", budget_tokens: 2_000 };
    expect(pass({ max_tokens: 16_000, thinking }, 5_000).body.thinking).toEqual(thinking);
    const adaptive = { type: "adaptive" };
    expect(pass({ max_tokens: 16_000, thinking: adaptive }, 100).body.thinking).toEqual(adaptive);
  });

  it("leaves thoughts out where it leaves no room for them, and says so", () => {
    const thinking = { type: "enabled", budget_tokens: 2_000 };
    const { body, warnings } = pass({ max_tokens: 16_000, thinking }, 1_200);
    expect(body).not.toHaveProperty("thinking");
    expect(warnings).toEqual([expect.stringContaining("1200")]);
  });

  it("leaves a caller's own odd budget alone where it lowers nothing", () => {
    const thinking = { type: "enabled", budget_tokens: 9_000 };
    expect(pass({ max_tokens: 4_000, thinking }, 4_000).body.thinking).toEqual(thinking);
  });

  it("lowers the budget that a wish for reasoning became", () => {
    const reasoning = { effort: Reasoning_Effort.HIGH };
    const { max_tokens: most, thinking } = translate({ reasoning }, 5_000);
    expect(most).toBe(5_000);
    expect(thinking).toEqual({ type: "enabled", budget_tokens: 4_000 });
  });
});
