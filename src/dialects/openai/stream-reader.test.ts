import { describe, expect, it, vi } from "vitest";
import { FinishReason } from "../../../gen/weir/v1/chat_pb.ts";
import type { ChatEvent } from "../../mesh/chunk.ts";
import { MeshError } from "../../mesh/errors.ts";
import { AnswerFold } from "../../mesh/fold.ts";
import type { JsonObject, JsonValue } from "../../mesh/json.ts";
import type { StreamReader } from "../dialect.ts";
import { createChatAsk } from "../typed-ask.ts";
import { readChatAsk } from "./chat-ask.ts";
import { createStreamReader } from "./stream-reader.ts";

const body = { model: "m", stream: true, messages: [{ role: "user", content: "hi" }] };
const passing = readChatAsk(body, 400);
const decoding = createChatAsk(passing.chat(), true, 400);
const asks = [
  ["passing", passing],
  ["decoding", decoding],
] as const;

function frame(value: JsonValue): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

function delta(fields: JsonObject, finish: string | null = null): string {
  const choices = [{ index: 0, delta: fields, finish_reason: finish }];
  return frame({ id: "c1", object: "chat.completion.chunk", model: "v1", choices });
}

const role = delta({ role: "assistant", content: "" });
const finish = delta({}, "stop");
const usage = frame({ id: "c1", choices: [], usage: { prompt_tokens: 9, completion_tokens: 2 } });
const done = "data: [DONE]\n\n";

/** Reads one run after another and returns what is passed on. */
function readAll(reader: StreamReader, ...runs: string[]): string {
  let passed = "";
  for (const run of runs) passed += reader.read(Buffer.from(run))?.wire?.bytes.toString() ?? "";
  return passed;
}

function eventsOf(...runs: string[]): ChatEvent[] {
  const reader = createStreamReader(decoding);
  return runs.flatMap((run) => [...(reader.read(Buffer.from(run))?.events() ?? [])]);
}

function toolCallsOf(...deltas: JsonValue[][]): unknown[] {
  const fold = new AnswerFold();
  const runs = deltas.map((calls) => delta({ tool_calls: calls }));
  for (const event of eventsOf(...runs, delta({}, "tool_calls"))) fold.add(event);
  const parts = fold.response().choices[0]?.message?.parts ?? [];
  return parts.map(({ part }) =>
    part.case === "toolCall" ? [part.value.id, part.value.name, part.value.arguments] : part.case,
  );
}

function reasonOf(run: () => unknown): string {
  try {
    run();
    return "none";
  } catch (thrown) {
    return thrown instanceof MeshError ? thrown.reason : String(thrown);
  }
}

for (const [name, ask] of asks) {
  describe(`a ${name} stream reader`, () => {
    it("finds the first content, the end and the usage", () => {
      const reader = createStreamReader(ask);
      expect(reader.read(Buffer.from(role))?.content ?? false).toBe(false);
      expect(reader.read(Buffer.from(delta({ content: "a" })))?.content).toBe(true);
      readAll(reader, delta({ content: "b" }), finish + usage);
      expect(reader.ended).toBe(false);
      readAll(reader, done);
      expect(reader.ended).toBe(true);
      expect(reader.end()).toMatchObject({
        finish: { reason: FinishReason.STOP, raw: "stop" },
        usage: { inputTokens: 9, outputTokens: 2, estimated: false },
        upstreamId: "c1",
        modelVersion: "v1",
      });
    });

    const counts: Array<[string, string]> = [
      ["in the chunk that finishes", finish.replace("}\n", ',"usage":{"prompt_tokens":9}}\n')],
      ["in Groq's own field", finish.replace("}\n", ',"x_groq":{"usage":{"prompt_tokens":9}}}\n')],
      ["before the finish", usage + finish],
      ["spaced out", (finish + usage).replaceAll('":', '": ')],
      ["after nulls", finish.replace("}\n", ',"usage":null}\n') + usage],
    ];
    for (const [place, tail] of counts) {
      it(`finds usage ${place}`, () => {
        const reader = createStreamReader(ask);
        const text = place === "spaced out" ? delta({ content: "a" }).replaceAll('":', '": ') : "";
        readAll(reader, delta({ content: "a" }), text || role, tail);
        expect(reader.end().usage?.inputTokens).toBe(9);
        expect(reader.end().finish.raw).toBe("stop");
      });
    }

    it("finds an end that is told in another style than the first content", () => {
      const reader = createStreamReader(ask);
      readAll(reader, delta({ content: "a" }), finish.replace('_reason":', '_reason"  : '));
      expect(reader.end().finish.raw).toBe("stop");
    });

    const faults: Array<[string, string, string]> = [
      ["a fault", frame({ error: { message: "boom", type: "server_error" } }), "UPSTREAM_FAILED"],
      ["a fault with its status", frame({ error: { code: 429 } }), "UPSTREAM_RATE_LIMITED"],
      ["a rate limit", frame({ error: { type: "rate_limit_error" } }), "UPSTREAM_RATE_LIMITED"],
      ["a named fault", `event: error\n${frame({ error: "boom" })}`, "UPSTREAM_FAILED"],
      ["vLLM's fault", frame({ object: "error", message: "m", code: 400 }), "UPSTREAM_REFUSED"],
      ["a fault beside a choice", frame({ error: { code: 502 }, choices: [] }), "UPSTREAM_FAILED"],
      ["garbage", "data: <html>\n\n", "UPSTREAM_GARBLED"],
      ["half a chunk", 'data: {"id":"c1","cho\n\n', "UPSTREAM_GARBLED"],
      ["a list", "data: []\n\n", "UPSTREAM_GARBLED"],
    ];
    for (const [what, frames, reason] of faults) {
      it(`throws for ${what} as the first event`, () => {
        const reader = createStreamReader(ask);
        expect(reasonOf(() => reader.read(Buffer.from(role + frames)))).toBe(reason);
      });

      it(`hands on what came before ${what} and then throws`, () => {
        const reader = createStreamReader(ask);
        reader.read(Buffer.from(delta({ content: "a" })));
        const run = Buffer.from(delta({ content: "b" }) + frames);
        // Bytes that look like more of the same go on unread; they are read at the end.
        const chunk = reader.read(run);
        expect(chunk?.content).toBe(true);
        expect(reasonOf(() => reader.end())).toBe(reason);
      });
    }

    it("throws when a fault follows content within the first read: nothing has been shown", () => {
      const reader = createStreamReader(ask);
      const run = delta({ content: "a" }) + frame({ error: { message: "boom" } });
      expect(reasonOf(() => reader.read(Buffer.from(run)))).toBe("UPSTREAM_FAILED");
    });

    const endings: Array<[string, string[], string]> = [
      ["neither finish_reason nor [DONE]", [delta({ content: "a" })], "UPSTREAM_GARBLED"],
      ["nothing at all", [], "UPSTREAM_GARBLED"],
      ["[DONE] alone", [done], "UPSTREAM_GARBLED"],
      ["finish_reason and no [DONE]", [delta({ content: "a" }), finish], "none"],
      ["[DONE] and no finish_reason", [delta({ content: "a" }), done], "none"],
    ];
    for (const [what, runs, reason] of endings) {
      it(`ends ${reason === "none" ? "well" : "badly"} with ${what}`, () => {
        const reader = createStreamReader(ask);
        readAll(reader, ...runs);
        expect(reasonOf(() => reader.end())).toBe(reason);
      });
    }

    it("estimates what a stream has used that ends early", () => {
      const reader = createStreamReader(ask);
      readAll(reader, role, delta({ content: "four" }), delta({ content: "four" }));
      const long = delta({ content: "x".repeat(4000) });
      expect(reader.partialUsage()).toMatchObject({ inputTokens: 100, outputTokens: 2 });
      readAll(reader, long);
      expect(reader.partialUsage().outputTokens).toBeGreaterThan(990);
      expect(reader.partialUsage().outputTokens).toBeLessThan(1010);
      expect(reader.partialUsage().estimated).toBe(true);
    });

    it("reads lines that end in CR LF or CR, comments and a byte order mark", () => {
      for (const end of ["\n", "\r\n", "\r"]) {
        const reader = createStreamReader(ask);
        const runs = [`\ufeff${role}: ping\n\n`, delta({ content: "a" }), delta({ content: "b" })];
        for (const run of [...runs, finish + usage + done]) {
          reader.read(Buffer.from(run.replaceAll("\n", end)));
        }
        expect(reader.ended).toBe(true);
        expect(reader.end().usage?.outputTokens).toBe(2);
      }
    });
  });
}

describe("a passing stream reader", () => {
  it("passes bytes on without [DONE], nor the usage that nobody asked for", () => {
    const reader = createStreamReader(passing);
    const runs = [role, delta({ content: "é" }), delta({ content: "b" }), finish + usage + done];
    expect(readAll(reader, ...runs)).toBe(`${runs.slice(0, 3).join("")}${finish}`);
  });

  it("passes the usage on that was asked for", () => {
    const ask = readChatAsk({ ...body, stream_options: { include_usage: true } }, 1);
    const reader = createStreamReader(ask);
    const runs = [delta({ content: "a" }), finish, usage, done];
    expect(readAll(reader, ...runs)).toBe(runs.slice(0, 3).join(""));
  });

  it("passes bytes on without a copy", () => {
    const reader = createStreamReader(passing);
    reader.read(Buffer.from(delta({ content: "a" })));
    const run = Buffer.from(delta({ content: "b" }) + delta({ content: "c" }));
    expect(reader.read(run)?.wire?.bytes).toBe(run);
  });

  it("is not misled by text that looks like an end", () => {
    const reader = createStreamReader(passing);
    const text =
      'x","finish_reason":"stop","usage":{"prompt_tokens":5}} data: [DONE]\n\n{"error":1}';
    const runs = [delta({ content: "a" }), delta({ content: text }), delta({ content: text })];
    expect(readAll(reader, ...runs)).toBe(runs.join(""));
    expect(reader.ended).toBe(false);
    expect(reasonOf(() => reader.end())).toBe("UPSTREAM_GARBLED");
  });

  it("decodes its chunks when somebody asks", () => {
    const reader = createStreamReader(passing);
    const call = { index: 0, id: "t1", function: { name: "f", arguments: "{" } };
    const more = { index: 0, function: { arguments: "}" } };
    const fold = new AnswerFold();
    for (const run of [delta({ tool_calls: [call] }), delta({ tool_calls: [more] }), finish]) {
      const chunk = reader.read(Buffer.from(run));
      expect(chunk?.events()).toBe(chunk?.events());
      for (const event of chunk?.events() ?? []) fold.add(event);
    }
    expect(fold.response().choices[0]).toMatchObject({
      finish: { reason: FinishReason.TOOL_CALLS, raw: "stop" },
      message: { parts: [{ part: { value: { id: "t1", name: "f", arguments: "{}" } } }] },
    });
  });
});

describe("tool calls in a stream", () => {
  const start = (id: string, name: string, index?: number): JsonObject => ({
    ...(index === undefined ? {} : { index }),
    id,
    type: "function",
    function: { name, arguments: "" },
  });
  const more = (text: string, fields: JsonObject = {}): JsonObject => ({
    ...fields,
    function: { arguments: text },
  });

  it("come with the identifier only once, interleaved", () => {
    expect(
      toolCallsOf(
        [start("a", "f", 0), start("b", "g", 1)],
        [more("1", { index: 1 })],
        [more("0", { index: 0 })],
      ),
    ).toEqual([
      ["a", "f", "0"],
      ["b", "g", "1"],
    ]);
  });

  it("come with identifier and name in each delta", () => {
    const again = { index: 0, id: "a", function: { name: "f", arguments: "}" } };
    const first = { index: 0, id: "a", function: { name: "f", arguments: "{" } };
    expect(toolCallsOf([first], [again])).toEqual([["a", "f", "{}"]]);
  });

  it("come with a new identifier in each delta", () => {
    expect(
      toolCallsOf(
        [start("a", "f", 0)],
        [more("{", { index: 0, id: "x" })],
        [more("}", { index: 0 })],
      ),
    ).toEqual([["a", "f", "{}"]]);
  });

  it("come without numbers", () => {
    expect(toolCallsOf([start("a", "f")], [more("1")], [start("b", "g")], [more("2")])).toEqual([
      ["a", "f", "1"],
      ["b", "g", "2"],
    ]);
  });

  it("come all numbered 0, each whole", () => {
    const whole = (id: string) => ({ index: 0, id, function: { name: "f", arguments: "{}" } });
    expect(toolCallsOf([whole("a"), whole("b")])).toEqual([
      ["a", "f", "{}"],
      ["b", "f", "{}"],
    ]);
  });

  it("come without an identifier at all", () => {
    expect(toolCallsOf([{ index: 0, function: { name: "f", arguments: "{}" } }])).toEqual([
      ["call_0_0", "f", "{}"],
    ]);
  });

  it("come with the name after the first arguments", () => {
    expect(
      toolCallsOf([more("{", { index: 0, id: "a" })], [{ index: 0, function: { name: "f" } }]),
    ).toEqual([["a", "f", "{"]]);
  });
});

describe("events of a stream", () => {
  it("tell a thought of OpenRouter once, with its proof", () => {
    const runs = [
      delta({
        reasoning: "a",
        reasoning_details: [{ type: "reasoning.text", text: "a", index: 0 }],
      }),
      delta({ reasoning_details: [{ type: "reasoning.text", signature: "s", index: 0 }] }),
    ];
    const fold = new AnswerFold();
    for (const event of eventsOf(...runs)) fold.add(event);
    const parts = fold.response().choices[0]?.message?.parts;
    expect(parts).toMatchObject([{ part: { value: { text: "a", signature: "s" } } }]);
    expect(parts).toHaveLength(1);
  });

  it("tell the finish once when a vendor says it twice", () => {
    const cases = eventsOf(finish, finish).map((event) => event.case);
    expect(cases).toEqual(["choiceFinished"]);
  });

  it("refuse a choice with an absurd number", () => {
    const choices = [{ index: 1e9, delta: { content: "a" } }];
    expect(reasonOf(() => eventsOf(frame({ choices })))).toBe("UPSTREAM_GARBLED");
  });

  it("refuses thousands of tool calls, each of which is looked for among all", () => {
    const runs = Array.from({ length: 2_000 }, (_, index) =>
      delta({ tool_calls: [{ index, id: `t${index}`, function: { name: "f", arguments: "{}" } }] }),
    );
    expect(reasonOf(() => eventsOf(...runs))).toBe("UPSTREAM_GARBLED");
  });
});

describe("a burst in one read", () => {
  const piece = (delta: string, finish = "null") =>
    `data: {"id":"c","choices":[{"index":0,"delta":${delta},"finish_reason":${finish}}]}\n\n`;
  const words = Array.from({ length: 50 }, (_, n) => piece(`{"content":"w${n} "}`)).join("");
  const usage = `data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":50}}\n\n`;
  const role = piece('{"role":"assistant","content":""}');
  const whole = `${role}${words}${piece("{}", '"stop"')}${usage}data: [DONE]\n\n`;

  it("is passed on whole, with its end read, though its middle is not parsed", () => {
    const parse = vi.spyOn(JSON, "parse");
    const reader = createStreamReader(passing);
    const chunk = reader.read(Buffer.from(whole));
    const parsed = parse.mock.calls.length;
    parse.mockRestore();
    expect(parsed).toBeLessThan(8);
    expect(chunk?.content).toBe(true);
    expect(chunk?.wire?.bytes.toString()).toBe(`${role}${words}${piece("{}", '"stop"')}`);
    expect(reader.end()).toMatchObject({ usage: { inputTokens: 3, outputTokens: 50 } });
  });

  it("is still searched for an error between its frames", () => {
    const error = 'data: {"error":{"message":"broken","type":"server_error"}}\n\n';
    const reader = createStreamReader(passing);
    expect(() => {
      reader.read(Buffer.from(role + words));
      reader.read(Buffer.from(words + error + words));
      reader.end();
    }).toThrow(expect.objectContaining({ reason: "UPSTREAM_FAILED" }));
  });
});
