import { create, type MessageInitShape } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChatSchema } from "../../../gen/weir/v1/chat_pb.ts";
import { createTestProvider, createTestTarget } from "../../../test/support/targets.ts";
import type { JsonObject } from "../../mesh/json.ts";
import { readAsk } from "../anthropic/read-request.ts";
import { createChatAsk } from "../typed-ask.ts";
import { readChatAsk } from "./chat-ask.ts";
import { openaiCompletions } from "./completions.ts";
import { writeChatRequest } from "./write-request.ts";

function targetAt(address: string, overrides?: JsonObject) {
  const provider = createTestProvider("providers/p", "openai", { baseUrls: [address] });
  return createTestTarget({ provider, upstreamModel: "up", overrides });
}

const OPENAI = "https://api.openai.com/v1";
const ENGINE = "http://127.0.0.1:8000/v1";
const OPENROUTER = "https://openrouter.ai/api/v1";
const messages = [{ role: "user", content: "hi" }];

/** What is sent of a body of this dialect, with a cap of 100 tokens. */
function pass(fields: JsonObject, target = targetAt(ENGINE), most = 100) {
  const warnings: string[] = [];
  const ask = readChatAsk({ model: "m", messages, ...fields }, 1);
  const body: JsonObject = JSON.parse(writeChatRequest(ask, target, warnings, most).body);
  const { model: _model, messages: _messages, ...rest } = body;
  return { rest, warnings };
}

function translate(chat: MessageInitShape<typeof ChatSchema>, target = targetAt(ENGINE)) {
  const ask = createChatAsk(create(ChatSchema, chat), false, 1);
  return JSON.parse(writeChatRequest(ask, target, [], 100).body);
}

describe("a cap of output tokens", () => {
  const cases: ReadonlyArray<readonly [string, JsonObject, JsonObject]> = [
    ["is written where there is none", {}, { max_tokens: 100 }],
    ["is written where it is null", { max_tokens: null }, { max_tokens: 100 }],
    ["lowers a higher one", { max_tokens: 1_000_000_000 }, { max_tokens: 100 }],
    ["leaves a lower one", { max_tokens: 99 }, { max_tokens: 99 }],
    ["replaces zero", { max_tokens: 0 }, { max_tokens: 100 }],
    ["replaces a negative one", { max_tokens: -1 }, { max_tokens: 100 }],
    ["keeps to the caller's word", { max_completion_tokens: 101 }, { max_completion_tokens: 100 }],
    [
      "lowers both words",
      { max_completion_tokens: 50, max_tokens: 500 },
      { max_completion_tokens: 50, max_tokens: 100 },
    ],
  ];
  for (const [name, fields, expected] of cases) {
    it(name, () => {
      expect(pass(fields).rest).toEqual(expected);
    });
  }

  it("is in the word that OpenAI takes, unless the caller used the other", () => {
    expect(pass({}, targetAt(OPENAI)).rest).toEqual({ max_completion_tokens: 100 });
    expect(pass({ max_tokens: 5000 }, targetAt(OPENAI)).rest).toEqual({ max_tokens: 100 });
  });

  it("wins over the target's overrides", () => {
    const overrides = { max_tokens: 7_000, max_completion_tokens: 20 };
    expect(pass({}, targetAt(ENGINE, overrides)).rest).toEqual({
      max_tokens: 100,
      max_completion_tokens: 20,
    });
    expect(pass({}, targetAt(ENGINE, { max_tokens: "many" })).rest).toEqual({ max_tokens: 100 });
  });

  it("is written into what is translated, over a vendor's own options too", () => {
    expect(translate({})).toMatchObject({ max_tokens: 100 });
    expect(translate({}, targetAt(OPENAI))).toMatchObject({ max_completion_tokens: 100 });
    expect(translate({ sampling: { maxTokens: 7 } })).toMatchObject({ max_tokens: 7 });
    const providerOptions = JSON.stringify({ openai: { max_tokens: 9_999 } });
    expect(translate({ providerOptions })).toMatchObject({ max_tokens: 100 });
  });

  it("is written into what came as a legacy completion or in Anthropic's dialect", () => {
    const legacy = openaiCompletions.readAsk({ model: "m", prompt: "x", max_tokens: 500 }, 1);
    const foreign = readAsk({ model: "m", max_tokens: 500, messages }, 1);
    for (const ask of [legacy, foreign]) {
      const { body } = writeChatRequest(ask, targetAt(ENGINE), [], 100);
      expect(JSON.parse(body)).toMatchObject({ max_tokens: 100 });
    }
  });

  it("leaves room for an answer beside OpenRouter's thoughts", () => {
    const reasoning = { effort: "high", max_tokens: 8_000 };
    const { rest, warnings } = pass({ reasoning }, targetAt(OPENROUTER), 4_000);
    expect(rest.reasoning).toEqual({ effort: "high", max_tokens: 3_200 });
    expect(warnings).toHaveLength(1);
    expect(pass({ reasoning }, targetAt(OPENROUTER)).rest.reasoning).toEqual({ effort: "high" });
    expect(pass({ reasoning }, targetAt(OPENROUTER), 9_000).rest.reasoning).toEqual(reasoning);
  });

  it("changes nothing when there is none", () => {
    const ask = readChatAsk({ model: "m", messages, max_tokens: -5 }, 1);
    expect(JSON.parse(writeChatRequest(ask, targetAt(ENGINE), []).body).max_tokens).toBe(-5);
  });

  it("holds whatever is asked", () => {
    const drawLimit = fc.option(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
    const drawLay = fc.option(fc.oneof(fc.integer(), fc.double(), fc.string()));
    fc.assert(
      fc.property(
        drawLimit,
        drawLimit,
        drawLay,
        fc.integer({ min: 1 }),
        (one, other, lay, most) => {
          const fields = { max_tokens: one, max_completion_tokens: other };
          const overrides = lay === null ? {} : { max_tokens: lay };
          const { rest } = pass(fields, targetAt(ENGINE, overrides), most);
          const written = [rest.max_tokens, rest.max_completion_tokens].filter(
            (each) => each != null,
          );
          expect(written.length).toBeGreaterThan(0);
          for (const each of written) {
            expect(each).toBeGreaterThan(0);
            expect(each).toBeLessThanOrEqual(most);
          }
        },
      ),
    );
  });
});
