import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  ChatSchema,
  type ContentPartSchema,
  type MessageSchema,
  Reasoning_Effort,
  Role,
  type SamplingSchema,
  ToolChoice_Mode,
} from "../../../gen/weir/v1/chat_pb.ts";
import { createTestTarget } from "../../../test/support/targets.ts";
import { MeshError } from "../../mesh/errors.ts";
import { createChatAsk } from "../typed-ask.ts";
import { counting } from "./count-tokens.ts";
import { readAsk } from "./read-request.ts";
import { writeRequest } from "./write-request.ts";

type Part = MessageInitShape<typeof ContentPartSchema>;
type Turn = MessageInitShape<typeof MessageSchema>;

const OLD = "claude-sonnet-4-5";
const NEW = "claude-opus-4-8";

function text(value: string): Part {
  return { part: { case: "text", value: { text: value } } };
}

function call(id: string, args: string): Part {
  return { part: { case: "toolCall", value: { id, name: "f", arguments: args } } };
}

function result(toolCallId: string, value: string): Part {
  return { part: { case: "toolResult", value: { toolCallId, parts: [text(value)] } } };
}

function turn(role: Role, ...parts: Part[]): Turn {
  return { role, parts };
}

const HELLO = [turn(Role.USER, text("hello"))];

function write(fields: MessageInitShape<typeof ChatSchema>, model = OLD, max?: number) {
  const warnings: string[] = [];
  const chat = create(ChatSchema, { model: "m", messages: HELLO, ...fields });
  const target = createTestTarget({ upstreamModel: model, outputTokensMax: max });
  const sent = writeRequest(createChatAsk(chat, false, 1), target, warnings);
  return { body: JSON.parse(sent.body), headers: sent.headers, path: sent.path, warnings };
}

function refusalOf(fields: MessageInitShape<typeof ChatSchema>): string | undefined {
  try {
    write(fields);
  } catch (thrown) {
    if (thrown instanceof MeshError && thrown.reason === "INVALID_REQUEST") {
      return thrown.details.field;
    }
    throw thrown;
  }
  return undefined;
}

describe("writeRequest() of the own dialect", () => {
  const wire = {
    model: "a",
    max_tokens: 5,
    messages: [{ role: "user", content: "hi" }],
    models: ["b"],
    provider: {},
    session_id: "s",
    a_new_field: { x: [1] },
  };

  it("changes the model and takes out what is Weir's", () => {
    const target = createTestTarget({ upstreamModel: "claude-x", overrides: { max_tokens: 7 } });
    const sent = writeRequest(readAsk(wire, 1), target, []);
    expect(JSON.parse(sent.body)).toEqual({
      model: "claude-x",
      max_tokens: 7,
      messages: wire.messages,
      a_new_field: { x: [1] },
    });
  });

  it("leaves the caller's body alone", () => {
    const before = structuredClone(wire);
    writeRequest(readAsk(wire, 1), createTestTarget(), []);
    expect(wire).toEqual(before);
  });

  it("passes on the caller's version and betas", () => {
    const ask = { ...readAsk(wire, 1), wireHeaders: { "anthropic-beta": "a,b" } };
    expect(writeRequest(ask, createTestTarget(), []).headers).toEqual({
      "anthropic-version": "2023-06-01",
      "anthropic-beta": "a,b",
    });
  });
});

describe("writeRequest() of another dialect", () => {
  it("names path, version and a limit of tokens", () => {
    const { body, headers, path } = write({});
    expect(path).toBe("/messages");
    expect(headers).toEqual({ "anthropic-version": "2023-06-01" });
    expect(body).toEqual({
      model: OLD,
      max_tokens: 4096,
      messages: [{ role: "user", content: [{ type: "text", text: "hello" }] }],
    });
  });

  it("merges turns and puts tool results in front", () => {
    const { body } = write({
      messages: [
        turn(Role.SYSTEM, text("a")),
        turn(Role.DEVELOPER, text("b")),
        turn(Role.USER, text("one")),
        turn(Role.USER, text("two")),
        turn(Role.ASSISTANT, text("")),
        turn(Role.ASSISTANT, call("x", ""), call("y", '{"k":1}')),
        turn(Role.TOOL, result("x", "rx")),
        turn(Role.USER, text("go on")),
        turn(Role.TOOL, result("y", "ry")),
      ],
    });
    expect(body.system).toEqual([
      { type: "text", text: "a" },
      { type: "text", text: "b" },
    ]);
    expect(body.messages).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "one" },
          { type: "text", text: "two" },
        ],
      },
      {
        role: "assistant",
        content: [
          { type: "tool_use", id: "x", name: "f", input: {} },
          { type: "tool_use", id: "y", name: "f", input: { k: 1 } },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "x", content: "rx" },
          { type: "tool_result", tool_use_id: "y", content: "ry" },
          { type: "text", text: "go on" },
        ],
      },
    ]);
  });

  it("keeps a later system message at its place, as the model allows", () => {
    const messages = [...HELLO, turn(Role.SYSTEM, text("be brief"))];
    expect(write({ messages }, NEW).body.messages[1].role).toBe("system");
    const old = write({ messages });
    expect(old.body.messages[0].content[1].text).toBe("<system>\nbe brief\n</system>");
    expect(old.warnings).toHaveLength(1);
  });

  const refused: Array<[string, MessageInitShape<typeof ChatSchema>]> = [
    ["n", { sampling: { n: 2 } }],
    ["provider_options", { providerOptions: "{" }],
    [
      "messages[0].parts[0].tool_call.arguments",
      { messages: [turn(Role.ASSISTANT, call("x", "{"))] },
    ],
    [
      "messages[0].parts[0].tool_call.arguments",
      { messages: [turn(Role.ASSISTANT, call("x", "[]"))] },
    ],
    [
      "messages[0].parts[0]",
      { messages: [turn(Role.USER, { part: { case: "audio", value: {} } })] },
    ],
    ["messages[0].role", { messages: [turn(Role.UNSPECIFIED, text("a"))] }],
    ["messages", { messages: [turn(Role.SYSTEM, text("a"))] }],
    ["tools[0]", { tools: [{ tool: { case: "custom", value: { name: "c" } } }] }],
    [
      "tools[0].function.parameters_schema",
      { tools: [{ tool: { case: "function", value: { name: "f", parametersSchema: "{" } } }] },
    ],
    [
      "messages[0].parts[0]",
      {
        messages: [
          turn(Role.USER, { part: { case: "vendor", value: { dialect: "openai", json: "{}" } } }),
        ],
      },
    ],
  ];
  for (const [field, fields] of refused) {
    it(`refuses ${field} in ${JSON.stringify(fields)}`, () => {
      expect(refusalOf(fields)).toBe(field);
    });
  }

  it("takes temperatures up to 1", () => {
    const { body, warnings } = write({ sampling: { temperature: 1.7, stop: ["a", " "] } });
    expect(body.temperature).toBe(1);
    expect(body.stop_sequences).toEqual(["a"]);
    expect(warnings).toHaveLength(2);
  });

  it("gives models that take no sampling none", () => {
    const { body, warnings } = write({ sampling: { temperature: 0.5, topK: 3 } }, NEW);
    expect(body).not.toHaveProperty("temperature");
    expect(warnings).toEqual([
      "temperature: this model takes none",
      "top_k: this model takes none",
    ]);
  });

  it("names every parameter that it cannot carry", () => {
    const lost: MessageInitShape<typeof SamplingSchema> = {
      minP: 0.1,
      frequencyPenalty: 1,
      presencePenalty: 1,
      seed: 1n,
      logprobs: true,
      topLogprobs: 2,
      logitBias: { 5: 1 },
    };
    expect(write({ sampling: lost }).warnings.map((each) => each.split(":")[0])).toEqual([
      ...["min_p", "frequency_penalty", "presence_penalty", "seed", "logprobs", "top_logprobs"],
      "logit_bias",
    ]);
  });

  it("asks for a JSON object in words and for a schema by its form", () => {
    const loose = write({ responseFormat: { format: { case: "jsonObject", value: {} } } });
    expect(loose.body.system[0].text).toContain("JSON object");
    expect(loose.warnings).toHaveLength(1);
    const value = { schema: '{"type":"object"}' };
    const strict = write({ responseFormat: { format: { case: "jsonSchema", value } } });
    expect(strict.body.output_config).toEqual({
      format: { type: "json_schema", schema: { type: "object" } },
    });
  });

  it("forbids parallel calls", () => {
    const tools = [{ tool: { case: "function" as const, value: { name: "f" } } }];
    const { body } = write({ tools, toolChoice: { mode: ToolChoice_Mode.AUTO, parallel: false } });
    expect(body.tool_choice).toEqual({ type: "auto", disable_parallel_tool_use: true });
    expect(body.tools[0].input_schema).toEqual({ type: "object", properties: {} });
  });

  it("lays provider options over the body, betas into a header", () => {
    const options = { anthropic: { betas: ["x"], service_tier: "auto" }, openai: { store: true } };
    const written = write({ providerOptions: JSON.stringify(options), endUser: "u" });
    expect(written.headers["anthropic-beta"]).toBe("x");
    expect(written.body).toMatchObject({ service_tier: "auto", metadata: { user_id: "u" } });
    expect(written.body).not.toHaveProperty("betas");
    expect(written.warnings[0]).toContain("store");
  });

  it("asks for the beta that uploaded files take", () => {
    const value = { blob: { source: { case: "fileId" as const, value: "file_1" } } };
    const messages = [turn(Role.USER, { part: { case: "file", value } })];
    expect(write({ messages }).headers["anthropic-beta"]).toBe("files-api-2025-04-14");
  });
});

describe("writeThinking()", () => {
  it("gives newer models an effort", () => {
    const { body } = write({ reasoning: { effort: Reasoning_Effort.MEDIUM } }, NEW);
    expect(body).toMatchObject({
      thinking: { type: "adaptive" },
      output_config: { effort: "medium" },
    });
  });

  it("gives older models a budget, beside room for the answer", () => {
    const { body } = write({ reasoning: { effort: Reasoning_Effort.MEDIUM } });
    expect(body.thinking).toEqual({ type: "enabled", budget_tokens: 8192 });
    expect(body.max_tokens).toBe(4096 + 8192);
  });

  it("keeps the budget below the caller's max_tokens", () => {
    const reasoning = { effort: Reasoning_Effort.HIGH };
    const { body } = write({ reasoning, sampling: { maxTokens: 5000 } });
    expect(body.thinking.budget_tokens).toBe(4000);
    expect(body.max_tokens).toBe(5000);
  });

  it("keeps the budget below what the target can produce", () => {
    const { body } = write({ reasoning: { effort: Reasoning_Effort.MAX } }, OLD, 8000);
    expect(body.thinking.budget_tokens).toBe(6400);
    expect(body.max_tokens).toBe(8000);
  });

  it("leaves thinking out, with a warning, where there is no room for it", () => {
    const reasoning = { effort: Reasoning_Effort.HIGH };
    const { body, warnings } = write({ reasoning, sampling: { maxTokens: 1000 } });
    expect(body).not.toHaveProperty("thinking");
    expect(warnings).toHaveLength(1);
  });

  it("leaves sampling out while thinking", () => {
    const fields = { reasoning: { maxTokens: 2000 }, sampling: { temperature: 0.2, topP: 0.97 } };
    const { body, warnings } = write(fields);
    expect(body).not.toHaveProperty("temperature");
    expect(body.top_p).toBe(0.97);
    expect(warnings).toHaveLength(1);
  });

  it("gives way to a forced tool", () => {
    const tools = [{ tool: { case: "function" as const, value: { name: "f" } } }];
    const toolChoice = { mode: ToolChoice_Mode.REQUIRED };
    const { body } = write({ tools, toolChoice, reasoning: { effort: Reasoning_Effort.LOW } });
    expect(body).not.toHaveProperty("thinking");
  });

  it("gives way to an open tool loop that has no signed thoughts", () => {
    const messages = [
      ...HELLO,
      turn(Role.ASSISTANT, call("x", "{}")),
      turn(Role.TOOL, result("x", "r")),
    ];
    const reasoning = { effort: Reasoning_Effort.LOW };
    expect(write({ messages, reasoning }).body).not.toHaveProperty("thinking");
    const value = { text: "t", signature: "s" };
    messages[1] = turn(Role.ASSISTANT, { part: { case: "reasoning", value } }, call("x", "{}"));
    const signed = write({ messages, reasoning });
    expect(signed.body.thinking.budget_tokens).toBe(2048);
    expect(signed.body.messages[1].content[0]).toEqual({
      type: "thinking",
      thinking: "t",
      signature: "s",
    });
  });
});

describe("counting", () => {
  it("leaves out what the counting route refuses", () => {
    const chat = create(ChatSchema, { model: "m", messages: HELLO, sampling: { temperature: 1 } });
    const target = createTestTarget({ upstreamModel: OLD });
    const sent = counting.writeRequest(createChatAsk(chat, true, 1), target, []);
    expect(sent.path).toBe("/messages/count_tokens");
    expect(Object.keys(JSON.parse(sent.body))).toEqual(["model", "messages"]);
  });

  for (const body of ["", "{}", '{"input_tokens":"5"}', '{"input_tokens":-1}', "[]"]) {
    it(`makes no sense of ${JSON.stringify(body)}`, () => {
      expect(() => counting.readAnswer(Buffer.from(body))).toThrow("made no sense");
    });
  }
});
