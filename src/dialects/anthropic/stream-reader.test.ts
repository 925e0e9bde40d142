import { describe, expect, it } from "vitest";
import { FinishReason } from "../../../gen/weir/v1/chat_pb.ts";
import { createTestAsk } from "../../../test/support/calls.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import { MeshError } from "../../mesh/errors.ts";
import type { JsonObject } from "../../mesh/json.ts";
import { readAsk } from "./read-request.ts";
import { createStreamReader } from "./stream-reader.ts";

const OWN: ChatAsk = readAsk(
  { model: "m", max_tokens: 1, messages: [{ role: "user", content: "?" }], stream: true },
  1,
);
const TYPED: ChatAsk = createTestAsk();

function frame(event: JsonObject): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

const START = frame({
  type: "message_start",
  message: {
    id: "msg_1",
    model: "claude-x",
    usage: { input_tokens: 9, cache_read_input_tokens: 4, output_tokens: 1 },
  },
});
const PING = frame({ type: "ping" });
const OPEN = frame({
  type: "content_block_start",
  index: 0,
  content_block: { type: "text", text: "" },
});
const CLOSE = frame({ type: "content_block_stop", index: 0 });
const END = frame({
  type: "message_delta",
  delta: { stop_reason: "stop_sequence", stop_sequence: "X" },
  usage: { output_tokens: 7 },
});
const STOP = frame({ type: "message_stop" });

function say(text: string): string {
  return frame({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } });
}

function startTool(index: number, id: string): string {
  const block = { type: "tool_use", id, name: "f", input: {} };
  return frame({ type: "content_block_start", index, content_block: block });
}

function fail(type: string): string {
  const error = `{"type": "${type}", "message": "boo"}`;
  return `event: error\ndata: {"type": "error", "error": ${error}}\n\n`;
}

function reasonOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof MeshError) return thrown.reason;
    throw thrown;
  }
  return undefined;
}

for (const [name, ask] of [
  ["the relay", OWN],
  ["the translation", TYPED],
] as const) {
  describe(`a stream by ${name}`, () => {
    it("is content from the first words on, and no sooner", () => {
      const reader = createStreamReader(ask);
      const heard = [START, PING, OPEN].map((each) => reader.read(Buffer.from(each))?.content);
      expect(heard.some(Boolean)).toBe(false);
      expect(reader.read(Buffer.from(say("hi")))?.content).toBe(true);
    });

    it("is content when a tool of the vendor begins to run", () => {
      const reader = createStreamReader(ask);
      const block = { type: "server_tool_use", id: "s", name: "web_search", input: {} };
      const begun = frame({ type: "content_block_start", index: 0, content_block: block });
      expect(reader.read(Buffer.from(START + begun))?.content).toBe(true);
    });

    it("tells how it ended", () => {
      const reader = createStreamReader(ask);
      reader.read(Buffer.from(START + OPEN + say("hi") + CLOSE + END));
      expect(reader.ended).toBe(false);
      reader.read(Buffer.from(STOP));
      expect(reader.ended).toBe(true);
      const { finish, usage, upstreamId, modelVersion } = reader.end();
      expect(finish).toMatchObject({ reason: FinishReason.STOP, stopSequence: "X" });
      expect(usage).toMatchObject({ inputTokens: 9, cacheReadTokens: 4, outputTokens: 7 });
      expect([upstreamId, modelVersion]).toEqual(["msg_1", "claude-x"]);
    });

    it("is garbled when it ends before its answer", () => {
      const reader = createStreamReader(ask);
      reader.read(Buffer.from(START + OPEN + say("hi")));
      expect(reasonOf(() => reader.end())).toBe("UPSTREAM_GARBLED");
    });

    const faults: Array<[string, string]> = [
      ["overloaded_error", "UPSTREAM_FAILED"],
      ["api_error", "UPSTREAM_FAILED"],
      ["rate_limit_error", "UPSTREAM_RATE_LIMITED"],
      ["invalid_request_error", "UPSTREAM_REFUSED"],
      ["authentication_error", "UPSTREAM_CREDENTIAL"],
      ["something_new", "UPSTREAM_FAILED"],
    ];
    for (const [type, reason] of faults) {
      it(`fails with ${reason} at ${type}, first or later`, () => {
        const first = createStreamReader(ask);
        expect(reasonOf(() => first.read(Buffer.from(fail(type))))).toBe(reason);
        const later = createStreamReader(ask);
        later.read(Buffer.from(START + OPEN + say("hi")));
        expect(reasonOf(() => later.read(Buffer.from(say("ho") + fail(type))))).toBe(reason);
      });
    }

    for (const garbage of ["data: {\n\n", "data: 5\n\n", "event: x\ndata: nonsense\n\n"]) {
      it(`is garbled by ${JSON.stringify(garbage)} at the beginning`, () => {
        const reader = createStreamReader(ask);
        expect(reasonOf(() => reader.read(Buffer.from(garbage)))).toBe("UPSTREAM_GARBLED");
      });
    }

    it("estimates the output of a stream that breaks, and counts its input", () => {
      const reader = createStreamReader(ask);
      reader.read(Buffer.from(START + OPEN));
      for (let at = 0; at < 20; at++)
        reader.read(
          Buffer.from(say("sixty letters, or as good as that, so fifteen tokens or so..")),
        );
      const usage = reader.partialUsage();
      expect(usage).toMatchObject({ inputTokens: 9, cacheReadTokens: 4, estimated: true });
      expect(usage.outputTokens).toBeGreaterThan(200);
      expect(usage.outputTokens).toBeLessThan(400);
    });

    it("estimates the prompt too when the vendor counts nothing", () => {
      const reader = createStreamReader({ ...ask, bytes: 4_000 });
      const silent = START.replace(/"usage":\{[^}]*\}/, '"usage":{}');
      reader.read(Buffer.from(silent + OPEN + say("hi")));
      expect(reader.partialUsage()).toMatchObject({ inputTokens: 1_000, estimated: true });
    });

    it("takes the vendor's word for the output once that is said", () => {
      const reader = createStreamReader(ask);
      reader.read(Buffer.from(START + OPEN + say("hi") + END));
      expect(reader.partialUsage()).toMatchObject({ outputTokens: 7, estimated: false });
    });

    it("does not take words for events", () => {
      const reader = createStreamReader(ask);
      reader.read(Buffer.from(START + OPEN + say("hi")));
      const words = say('event: error\n\n "type":"error" message_stop message_delta');
      expect(reader.read(Buffer.from(words))?.content).toBe(true);
      expect(reader.ended).toBe(false);
    });
  });
}

describe("the relay", () => {
  it("passes bytes on but for message_stop", () => {
    const reader = createStreamReader(OWN);
    const last = say("message_stop") + CLOSE + END + STOP;
    const chunks = [START + OPEN + say("ü"), last].map((each) => reader.read(Buffer.from(each)));
    const wire = chunks.map((chunk) => chunk?.wire?.bytes.toString("utf8")).join("");
    expect(wire).toBe(START + OPEN + say("ü") + say("message_stop") + CLOSE + END);
  });

  it("gives nothing for message_stop alone", () => {
    const reader = createStreamReader(OWN);
    reader.read(Buffer.from(START + OPEN + say("a") + CLOSE + END));
    expect(reader.read(Buffer.from(STOP))).toBeUndefined();
  });

  it("keeps the last frames of a server that ends lines otherwise", () => {
    const reader = createStreamReader(OWN);
    const all = (START + OPEN + say("a") + CLOSE + END + STOP).replaceAll("\n", "\r\n");
    const wire = reader.read(Buffer.from(all))?.wire?.bytes.toString("utf8");
    expect(wire).toBe(START + OPEN + say("a") + CLOSE + END);
  });
});

describe("the translation", () => {
  it("numbers tool calls and not blocks, and gives an empty input", () => {
    const reader = createStreamReader(TYPED);
    const text = `${START + OPEN + say("a") + CLOSE + startTool(1, "x")}${frame({
      type: "content_block_delta",
      index: 1,
      delta: { type: "input_json_delta", partial_json: "" },
    })}${frame({ type: "content_block_stop", index: 1 })}`;
    const events = reader.read(Buffer.from(text))?.events() ?? [];
    expect(events.map((event) => event.case)).toEqual([
      ...["textDelta", "toolCallStarted", "toolCallArgumentsDelta", "toolCallDone"],
    ]);
    expect(events[1]?.value).toMatchObject({ toolCallIndex: 0, id: "x", name: "f" });
    expect(events[2]?.value).toMatchObject({ toolCallIndex: 0, arguments: "{}" });
  });

  it("tells the citations of a text behind it", () => {
    const reader = createStreamReader(TYPED);
    const citation = { type: "web_search_result_location", url: "http://a", title: "A" };
    const delta = { type: "citations_delta", citation };
    const cite = frame({ type: "content_block_delta", index: 0, delta });
    const text = START + OPEN + cite + say("so it is") + CLOSE;
    const events = reader.read(Buffer.from(text))?.events() ?? [];
    expect(events.map((event) => event.case)).toEqual(["textDelta", "citationAdded"]);
    expect(events[1]?.value).toMatchObject({ citation: { uri: "http://a", title: "A" } });
  });
});
