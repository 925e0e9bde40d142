import { describe, expect, it } from "vitest";
import { Reasoning_Effort, Role, ToolChoice_Mode } from "../../../gen/weir/v1/chat_pb.ts";
import { MeshError } from "../../mesh/errors.ts";
import type { JsonObject, JsonValue } from "../../mesh/json.ts";
import { readAsk, readCountAsk } from "./read-request.ts";

const PLAIN: JsonObject = {
  model: "claude",
  max_tokens: 10,
  messages: [{ role: "user", content: "hi" }],
};

function fieldOf(body: JsonObject, decode: boolean): string | undefined {
  try {
    const ask = readAsk(body, 1);
    if (decode) ask.chat();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(MeshError);
    if (!(thrown instanceof MeshError)) return undefined;
    expect(thrown.reason).toBe("INVALID_REQUEST");
    expect(thrown.message).toContain(thrown.details.field);
    return thrown.details.field;
  }
  return undefined;
}

function nest(depth: number): JsonValue {
  let value: JsonValue = [];
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}

describe("readAsk()", () => {
  const eager: Array<[string, JsonObject]> = [
    ["model", { ...PLAIN, model: undefined }],
    ["model", { ...PLAIN, model: 5 }],
    ["model", { ...PLAIN, model: "" }],
    ["max_tokens", { ...PLAIN, max_tokens: undefined }],
    ["max_tokens", { ...PLAIN, max_tokens: 0 }],
    ["max_tokens", { ...PLAIN, max_tokens: 1.5 }],
    ["max_tokens", { ...PLAIN, max_tokens: 2 ** 40 }],
    ["max_tokens", { ...PLAIN, max_tokens: "10" }],
    ["messages", { ...PLAIN, messages: undefined }],
    ["messages", { ...PLAIN, messages: "hi" }],
    ["messages", { ...PLAIN, messages: [] }],
    ["messages[0]", { ...PLAIN, messages: ["hi"] }],
    ["messages[1].role", { ...PLAIN, messages: [{ role: "user" }, { role: "tool" }] }],
    ["stream", { ...PLAIN, stream: "yes" }],
    ["metadata.user_id", { ...PLAIN, metadata: { user_id: 5 } }],
    ["models", { ...PLAIN, models: "a" }],
    ["models[1]", { ...PLAIN, models: ["a", 2] }],
    ["session_id", { ...PLAIN, session_id: 1 }],
  ];
  for (const [field, body] of eager) {
    it(`refuses ${field} in ${JSON.stringify(body)} at once`, () => {
      expect(fieldOf(body, false)).toBe(field);
    });
  }

  const blocks: Array<[string, JsonValue]> = [
    ["messages[0].content", 5],
    ["messages[0].content[0]", ["hi"]],
    ["messages[0].content[0].type", [{ text: "hi" }]],
    ["messages[0].content[1].type", [{ type: "text", text: "a" }, { type: 1 }]],
    ["messages[0].content[0].text", [{ type: "text" }]],
    ["messages[0].content[0].source", [{ type: "image" }]],
    ["messages[0].content[0].source.data", [{ type: "image", source: { type: "base64" } }]],
    ["messages[0].content[0].id", [{ type: "tool_use", name: "f", input: {} }]],
    ["messages[0].content[0].tool_use_id", [{ type: "tool_result" }]],
    [
      "messages[0].content[0].cache_control.ttl",
      [{ type: "text", text: "a", cache_control: { type: "ephemeral", ttl: "2h" } }],
    ],
  ];
  const lazy: Array<[string, JsonObject]> = [
    ...blocks.map(([field, content]): [string, JsonObject] => [
      field,
      { ...PLAIN, messages: [{ role: "user", content }] },
    ]),
    ["messages[0].content", { ...PLAIN, messages: [{ role: "user" }] }],
    ["system", { ...PLAIN, system: 5 }],
    ["tools", { ...PLAIN, tools: {} }],
    ["tools[0].name", { ...PLAIN, tools: [{ input_schema: {} }] }],
    ["tools[0].input_schema", { ...PLAIN, tools: [{ name: "f" }] }],
    ["tool_choice.type", { ...PLAIN, tool_choice: { type: "some" } }],
    ["tool_choice.name", { ...PLAIN, tool_choice: { type: "tool" } }],
    ["temperature", { ...PLAIN, temperature: "hot" }],
    ["stop_sequences[0]", { ...PLAIN, stop_sequences: [1] }],
    ["thinking.budget_tokens", { ...PLAIN, thinking: { type: "enabled" } }],
    ["output_config.format.type", { ...PLAIN, output_config: { format: { type: "xml" } } }],
    ["provider.sort", { ...PLAIN, provider: { sort: "luck" } }],
  ];
  for (const [field, body] of lazy) {
    it(`refuses ${field} in ${JSON.stringify(body)} when decoded`, () => {
      expect(fieldOf(body, true)).toBe(field);
    });
  }

  it("takes or refuses a schema of a hundred thousand levels, and does not break", () => {
    const tools = [{ name: "f", input_schema: { deep: nest(100_000) } }];
    expect(["tools[0]", undefined]).toContain(fieldOf({ ...PLAIN, tools }, true));
  });

  it("takes what Weir adds as typed fields", () => {
    const body = { ...PLAIN, models: ["b", "c"], session_id: "s", provider: { order: ["x"] } };
    const ask = readAsk(body, 1);
    expect(ask.fallbackModels).toEqual(["b", "c"]);
    expect(ask.sessionId).toBe("s");
    expect(ask.chat().routing?.order).toEqual(["x"]);
    expect(ask.chat().providerOptions).toBe("");
  });

  it("decodes once", () => {
    const ask = readAsk(PLAIN, 1);
    expect(ask.chat()).toBe(ask.chat());
  });

  it("names the parameters as the message names them", () => {
    const body = {
      ...PLAIN,
      tools: [{ name: "f", input_schema: {} }],
      thinking: { type: "adaptive" },
      stop_sequences: ["x"],
      temperature: 1,
      service_tier: "auto",
    };
    expect(readAsk(body, 1).parameters()).toEqual([
      ...["tools", "reasoning", "provider_options", "max_tokens", "temperature", "stop"],
    ]);
  });

  it("keeps the places of system messages", () => {
    const body = {
      ...PLAIN,
      system: "first",
      messages: [
        { role: "user", content: "hi" },
        { role: "system", content: "later" },
      ],
    };
    const roles = readAsk(body, 1)
      .chat()
      .messages.map(({ role }) => role);
    expect(roles).toEqual([Role.SYSTEM, Role.USER, Role.SYSTEM]);
  });

  it("reads choice, reasoning and cache breakpoints", () => {
    const body = {
      ...PLAIN,
      system: [{ type: "text", text: "s", cache_control: { type: "ephemeral", ttl: "1h" } }],
      tool_choice: { type: "any", disable_parallel_tool_use: true },
      output_config: { effort: "xhigh" },
    };
    const chat = readAsk(body, 1).chat();
    expect(chat.toolChoice).toMatchObject({ mode: ToolChoice_Mode.REQUIRED, parallel: false });
    expect(chat.reasoning).toMatchObject({ effort: Reasoning_Effort.MAX, rawEffort: "xhigh" });
    expect(chat.messages[0]?.parts[0]?.cacheBreakpoint?.ttl?.seconds).toBe(3600n);
  });

  it("keeps what has no place of its own as provider options", () => {
    const body = {
      ...PLAIN,
      service_tier: "auto",
      thinking: { type: "adaptive", display: "omitted" },
      tools: [{ name: "f", input_schema: {}, defer_loading: true }],
    };
    expect(JSON.parse(readAsk(body, 1).chat().providerOptions)).toEqual({
      anthropic: {
        service_tier: "auto",
        thinking: { type: "adaptive", display: "omitted" },
        tools: { f: { defer_loading: true } },
      },
    });
  });
});

describe("readCountAsk()", () => {
  it("needs no max_tokens", () => {
    expect(readCountAsk({ ...PLAIN, max_tokens: undefined }, 1).model).toBe("claude");
  });
});
