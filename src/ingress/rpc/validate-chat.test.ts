import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ChatSchema, Role } from "../../../gen/weir/v1/chat_pb.ts";
import { EmbedRequestSchema } from "../../../gen/weir/v1/embed_service_pb.ts";
import { MeshError } from "../../mesh/errors.ts";
import { validateChat, validateEmbed } from "./validate-chat.ts";

type ChatInit = MessageInitShape<typeof ChatSchema>;
type EmbedInit = MessageInitShape<typeof EmbedRequestSchema>;

/** A number that a newer client may send for any enum; no type of ours has it. */
const FUTURE = 9 as never;

const text = { part: { case: "text" as const, value: { text: "hi" } } };
const call = { part: { case: "toolCall" as const, value: { id: "c1", name: "f" } } };
const result = { part: { case: "toolResult" as const, value: { toolCallId: "c1" } } };
const blob = { source: { case: "uri" as const, value: "https://x.test/a.png" } };

function chatWith(changes: ChatInit) {
  const messages = [{ role: Role.USER, parts: [text] }];
  return create(ChatSchema, { model: "m", messages, ...changes });
}

function partsOf(role: Role, ...parts: NonNullable<ChatInit["messages"]>[number]["parts"] & {}) {
  return { messages: [{ role, parts }] };
}

function faultOf(run: () => unknown): MeshError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof MeshError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was refused");
}

describe("validateChat()", () => {
  const good: Array<[string, ChatInit]> = [
    ["the least", {}],
    ["the edges of ranges", { sampling: { temperature: 2, topP: 0, n: 128, topLogprobs: 20 } }],
    [
      "a full conversation",
      {
        messages: [
          { role: Role.ASSISTANT, parts: [call] },
          { role: Role.TOOL, parts: [result] },
        ],
      },
    ],
    ["an assistant who said nothing", { messages: [{ role: Role.ASSISTANT }] }],
    ["an image by address", partsOf(Role.USER, { part: { case: "image", value: { blob } } })],
    ["sound by its id", partsOf(Role.ASSISTANT, { part: { case: "audio", value: { id: "a1" } } })],
    ["labels", { labels: { "a.b_c-1": "x".repeat(255) } }],
    ["vendor options", { providerOptions: '{"openai":{"seed":1}}' }],
    ["a named tool", { toolChoice: { mode: 4, name: "f" } }],
  ];
  for (const [what, changes] of good) {
    it(`takes ${what}`, () => {
      const chat = chatWith(changes);
      expect(validateChat(chat)).toBe(chat);
    });
  }

  const bad: Array<[string, ChatInit]> = [
    ["model", { model: "" }],
    ["messages", { messages: [] }],
    ["messages[0].role", { messages: [{ parts: [text] }] }],
    ["messages[0].role", { messages: [{ role: FUTURE, parts: [text] }] }],
    ["messages[0].parts", { messages: [{ role: Role.USER }] }],
    ["messages[0].parts[1]", partsOf(Role.USER, text, {})],
    ["messages[0].parts[0]", partsOf(Role.USER, call)],
    ["messages[0].parts[0]", partsOf(Role.ASSISTANT, result)],
    ["messages[0].parts[0]", partsOf(Role.ASSISTANT, { part: { case: "toolCall", value: {} } })],
    ["messages[0].parts[0]", partsOf(Role.TOOL, { part: { case: "toolResult", value: {} } })],
    [
      "messages[0].parts[0]",
      partsOf(Role.TOOL, {
        part: { case: "toolResult", value: { toolCallId: "c1", parts: [result] } },
      }),
    ],
    ["messages[0].parts[0]", partsOf(Role.USER, { part: { case: "image", value: {} } })],
    ["messages[0].parts[0]", partsOf(Role.USER, { part: { case: "audio", value: {} } })],
    ["messages[0].parts[0]", partsOf(Role.USER, { part: { case: "refusal", value: {} } })],
    ["messages[0].parts[0]", partsOf(Role.USER, { part: { case: "reasoning", value: {} } })],
    ["messages[0].parts[0]", partsOf(Role.USER, { part: { case: "vendor", value: {} } })],
    ["fallback_models", { fallbackModels: Array(9).fill("m") }],
    ["fallback_models[1]", { fallbackModels: ["m", ""] }],
    ["labels", { labels: { UPPER: "x" } }],
    ["labels", { labels: { ["x".repeat(64)]: "x" } }],
    ["labels.a", { labels: { a: "é".repeat(128) } }],
    [
      "labels",
      { labels: Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`l${at}`, ""])) },
    ],
    ["session_id", { sessionId: "x".repeat(129) }],
    ["end_user", { endUser: "語".repeat(43) }],
    ["provider_options", { providerOptions: "{" }],
    ["provider_options", { providerOptions: "[1]" }],
    ["sampling.max_tokens", { sampling: { maxTokens: 0 } }],
    ["sampling.temperature", { sampling: { temperature: 2.1 } }],
    ["sampling.temperature", { sampling: { temperature: Number.NaN } }],
    ["sampling.top_p", { sampling: { topP: -0.1 } }],
    ["sampling.top_k", { sampling: { topK: 0 } }],
    ["sampling.min_p", { sampling: { minP: 1.1 } }],
    ["sampling.frequency_penalty", { sampling: { frequencyPenalty: -3 } }],
    ["sampling.presence_penalty", { sampling: { presencePenalty: 3 } }],
    ["sampling.n", { sampling: { n: 129 } }],
    ["sampling.top_logprobs", { sampling: { topLogprobs: 21 } }],
    ["sampling.stop", { sampling: { stop: Array(17).fill("x") } }],
    ["sampling.logit_bias", { sampling: { logitBias: { "1": 101 } } }],
    ["tools[0]", { tools: [{}] }],
    ["tools[0].function.name", { tools: [{ tool: { case: "function", value: {} } }] }],
    ["tools[0].vendor.dialect", { tools: [{ tool: { case: "vendor", value: {} } }] }],
    ["tool_choice.mode", { toolChoice: {} }],
    ["tool_choice.mode", { toolChoice: { mode: FUTURE } }],
    ["tool_choice.name", { toolChoice: { mode: 4 } }],
    ["response_format", { responseFormat: {} }],
    [
      "response_format.json_schema.schema",
      { responseFormat: { format: { case: "jsonSchema", value: {} } } },
    ],
    ["reasoning.effort", { reasoning: { effort: FUTURE } }],
    ["reasoning.max_tokens", { reasoning: { maxTokens: 0 } }],
    ["routing.sort", { routing: { sort: FUTURE } }],
    ["cache.mode", { cache: { mode: FUTURE } }],
  ];
  for (const [field, changes] of bad) {
    it(`refuses ${JSON.stringify(changes).slice(0, 80)} at ${field}`, () => {
      const error = faultOf(() => validateChat(chatWith(changes)));
      expect(error.reason).toBe("INVALID_REQUEST");
      expect(error.details.field).toBe(field);
      expect(error.message).toContain(`${field}: `);
    });
  }

  it("refuses a request without a chat", () => {
    expect(faultOf(() => validateChat(undefined)).details.field).toBe("chat");
  });

  it("lists several violations, and says how many more there are", () => {
    const messages = Array.from({ length: 20 }, () => ({ role: Role.USER }));
    const error = faultOf(() => validateChat(chatWith({ model: "", messages })));
    expect(error.details.field).toBe("model");
    expect(error.message).toContain("messages[6].parts: ");
    expect(error.message).not.toContain("messages[7].parts: ");
    expect(error.message).toContain("And 13 more.");
  });
});

describe("validateEmbed()", () => {
  const input = { input: { case: "text" as const, value: "a" } };
  const bad: Array<[string, EmbedInit]> = [
    ["model", { model: "" }],
    ["inputs", { inputs: [] }],
    ["inputs", { inputs: Array(2049).fill(input) }],
    ["inputs[1]", { inputs: [input, {}] }],
    ["dimensions", { dimensions: 0 }],
    ["encoding", { encoding: FUTURE }],
    ["labels", { labels: { UPPER: "x" } }],
  ];
  for (const [field, changes] of bad) {
    it(`refuses a wrong ${field}`, () => {
      const request = create(EmbedRequestSchema, { model: "m", inputs: [input], ...changes });
      expect(faultOf(() => validateEmbed(request)).details.field).toBe(field);
    });
  }

  it("takes 2,048 inputs", () => {
    const request = create(EmbedRequestSchema, { model: "m", inputs: Array(2048).fill(input) });
    expect(validateEmbed(request)).toBe(request);
  });
});
