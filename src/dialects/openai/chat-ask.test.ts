import { describe, expect, it } from "vitest";
import {
  Reasoning_Effort as Effort,
  ToolChoice_Mode as Mode,
  Role,
  RoutingPreferences_Sort as Sort,
} from "../../../gen/weir/v1/chat_pb.ts";
import { MeshError } from "../../mesh/errors.ts";
import type { JsonObject } from "../../mesh/json.ts";
import { listChatParameters } from "../typed-ask.ts";
import { readChatAsk } from "./chat-ask.ts";

const messages = [{ role: "user", content: "hi" }];

function read(fields: JsonObject = {}): ReturnType<typeof readChatAsk> {
  return readChatAsk({ model: "m", messages, ...fields }, 100);
}

/** The field that a refusal names; undefined when nothing is refused. */
function findRefusedField(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (thrown) {
    if (!(thrown instanceof MeshError) || thrown.reason !== "INVALID_REQUEST") throw thrown;
    expect(thrown.message).toContain(thrown.details.field);
    return thrown.details.field;
  }
}

describe("readChatAsk()", () => {
  const badAtTheDoor: Array<[JsonObject, string]> = [
    [{ model: 1 }, "model"],
    [{ model: "" }, "model"],
    [{ model: null }, "model"],
    [{ messages: "hi" }, "messages"],
    [{ messages: [] }, "messages"],
    [{ messages: null }, "messages"],
    [{ messages: ["hi"] }, "messages[0]"],
    [{ messages: [...messages, { content: "x" }] }, "messages[1].role"],
    [{ stream: "yes" }, "stream"],
    [{ stream_options: true }, "stream_options"],
    [{ max_tokens: "9" }, "max_tokens"],
    [{ max_tokens: 1.5 }, "max_tokens"],
    [{ max_completion_tokens: 3e9 }, "max_completion_tokens"],
    [{ temperature: "hot" }, "temperature"],
    [{ models: "a" }, "models"],
    [{ models: ["a", 2] }, "models[1]"],
    [{ tools: {} }, "tools"],
    [{ user: 1 }, "user"],
    [{ metadata: [] }, "metadata"],
  ];
  for (const [fields, field] of badAtTheDoor) {
    it(`refuses ${JSON.stringify(fields)} at the door`, () => {
      expect(findRefusedField(() => read(fields))).toBe(field);
    });
  }

  const badWithin: Array<[JsonObject, string]> = [
    [{ messages: [{ role: "robot", content: "x" }] }, "messages[0].role"],
    [{ messages: [{ role: "user", content: 7 }] }, "messages[0].content"],
    [{ messages: [{ role: "user", content: [{}] }] }, "messages[0].content[0].type"],
    [{ messages: [{ role: "user", content: [{ type: "text" }] }] }, "messages[0].content[0].text"],
    [{ messages: [{ role: "tool", content: "x" }] }, "messages[0].tool_call_id"],
    [
      { messages: [{ role: "assistant", tool_calls: [{ id: "a" }] }] },
      "messages[0].tool_calls[0].function",
    ],
    [{ tools: [{ type: "function" }] }, "tools[0].function"],
    [{ tool_choice: "perhaps" }, "tool_choice"],
    [{ response_format: { type: "json_schema" } }, "response_format.json_schema"],
    [{ provider: { sort: "beauty" } }, "provider.sort"],
    [{ seed: 0.5 }, "seed"],
    [{ logit_bias: { 5: "x" } }, "logit_bias.5"],
    [{ stop: [1] }, "stop[0]"],
  ];
  for (const [fields, field] of badWithin) {
    it(`lets ${JSON.stringify(fields)} pass to its vendor and refuses to translate it`, () => {
      const ask = read(fields);
      expect(findRefusedField(() => ask.chat())).toBe(field);
    });
  }

  it("takes null for what is not set", () => {
    const ask = read({ stream: null, max_tokens: null, stop: null, tools: null, user: null });
    expect(ask.stream).toBe(false);
    expect(ask.parameters()).toEqual([]);
    expect(ask.chat().sampling).toBeUndefined();
  });

  it("takes the first of models for the model where there is none", () => {
    const ask = read({ model: undefined, models: ["a", "b"] });
    expect([ask.model, ask.fallbackModels]).toEqual(["a", ["b"]]);
    expect(read({ models: ["b", "m"] }).fallbackModels).toEqual(["b"]);
  });

  it("makes labels of the texts in metadata that can be labels", () => {
    const metadata = { feature: "search", "No Label": "x", number: 5, long: "x".repeat(300) };
    expect(read({ metadata }).labels).toEqual({ feature: "search" });
  });

  it("names the same parameters as the typed door", () => {
    const fields = {
      tools: [{ type: "function", function: { name: "f" } }],
      parallel_tool_calls: true,
      response_format: { type: "json_object" },
      reasoning_effort: "low",
      modalities: ["text", "audio"],
      audio: { voice: "alloy", format: "wav" },
      ...{ max_tokens: 5, temperature: 0, top_p: 1, top_k: 3, min_p: 0.1, seed: 1, n: 1 },
      ...{ stop: "x", frequency_penalty: 0, presence_penalty: 0, logprobs: true },
      ...{ top_logprobs: 2, logit_bias: { 5: 1 }, service_tier: "flex" },
    };
    const ask = read(fields);
    expect([...ask.parameters()].sort()).toEqual(listChatParameters(ask.chat()).sort());
    expect(ask.parameters()).toContain("provider_options");
  });

  it("decodes only once", () => {
    const ask = read();
    expect(ask.chat()).toBe(ask.chat());
  });
});

describe("chat()", () => {
  it("reads the routing wishes of OpenRouter", () => {
    const provider = {
      order: ["a"],
      allow_fallbacks: false,
      data_collection: "deny",
      zdr: true,
      sort: { by: "price", partition: "none" },
      max_price: { prompt: 0.15, completion: "2" },
      preferred_max_latency: { p50: 1.5 },
    };
    expect(read({ provider }).chat().routing).toMatchObject({
      order: ["a"],
      allowFallbacks: false,
      allowTraining: false,
      zeroDataRetention: true,
      sort: Sort.PRICE,
      maxInputPriceNanoUsdPerMillion: 150_000_000n,
      maxOutputPriceNanoUsdPerMillion: 2_000_000_000n,
      preferredMaxLatency: { seconds: 1n, nanos: 500_000_000 },
    });
  });

  it("gives calls of the time before tools an identifier", () => {
    const chat = read({
      messages: [
        { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } },
        { role: "function", name: "f", content: "1" },
      ],
      functions: [{ name: "f", parameters: { type: "object" } }],
      function_call: { name: "f" },
    }).chat();
    const call = chat.messages[0]?.parts[0]?.part;
    const result = chat.messages[1]?.parts[0]?.part;
    expect(call).toMatchObject({ case: "toolCall", value: { id: "call_0", name: "f" } });
    expect(result).toMatchObject({ case: "toolResult", value: { toolCallId: "call_0" } });
    expect(chat.toolChoice).toMatchObject({ mode: Mode.NAMED, name: "f" });
    expect(chat.tools).toHaveLength(1);
  });

  it("reads pictures, sound and documents by their bytes", () => {
    const png = Buffer.from("\x89PNG").toString("base64");
    const content = [
      { type: "image_url", image_url: { url: `data:image/png;base64,${png}`, detail: "low" } },
      { type: "image_url", image_url: { url: "https://example.com/a.png" } },
      { type: "input_audio", input_audio: { data: png, format: "mp3" } },
      {
        type: "file",
        file: { filename: "a.pdf", file_data: `data:application/pdf;base64,${png}` },
      },
      { type: "video_url", video_url: { url: "https://example.com/a.mp4" } },
    ];
    const parts = read({ messages: [{ role: "user", content }] }).chat().messages[0]?.parts;
    expect(parts?.map(({ part }) => part)).toMatchObject([
      { case: "image", value: { blob: { mediaType: "image/png" }, detail: "low" } },
      { case: "image", value: { blob: { source: { case: "uri" } } } },
      { case: "audio", value: { blob: { mediaType: "audio/mpeg" } } },
      { case: "file", value: { name: "a.pdf", blob: { mediaType: "application/pdf" } } },
      { case: "vendor", value: { dialect: "openai" } },
    ]);
  });

  it("puts a thought and its proof together that a client kept apart", () => {
    const chat = read({
      messages: [
        {
          role: "assistant",
          content: "4",
          reasoning_content: "2 and 2",
          reasoning_details: [{ type: "reasoning.text", signature: "proof", index: 0 }],
        },
      ],
    }).chat();
    expect(chat.messages[0]?.role).toBe(Role.ASSISTANT);
    expect(chat.messages[0]?.parts[0]?.part).toMatchObject({
      case: "reasoning",
      value: { text: "2 and 2", signature: "proof" },
    });
  });

  it("keeps an effort that it does not know by its word", () => {
    const reasoning = read({ reasoning: { effort: "ultra", max_tokens: 9 } }).chat().reasoning;
    expect(reasoning).toMatchObject({
      effort: Effort.UNSPECIFIED,
      rawEffort: "ultra",
      maxTokens: 9,
    });
  });

  it("keeps what it has no place for as options of this dialect", () => {
    const choice = { type: "allowed_tools", mode: "auto", tools: [] };
    const chat = read({ prediction: { type: "content" }, tool_choice: choice, store: true }).chat();
    expect(JSON.parse(chat.providerOptions)).toEqual({
      openai: { prediction: { type: "content" }, tool_choice: choice, store: true },
    });
  });
});
