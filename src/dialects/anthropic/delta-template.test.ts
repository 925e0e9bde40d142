import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonValue } from "../../mesh/json.ts";
import { readAll } from "../read-all.fixture.ts";
import { createChatAsk } from "../typed-ask.ts";
import { DeltaTemplate } from "./delta-template.ts";
import { readAsk } from "./read-request.ts";
import { createStreamReader } from "./stream-reader.ts";

const messages = [{ role: "user", content: "hi" }];
const asked = readAsk({ model: "m", max_tokens: 9, stream: true, messages }, 400);
const ask = createChatAsk(asked.chat(), true, 400);

function frame(json: string): string {
  return `event: any\ndata: ${json}\n\n`;
}

const plain = '{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"a"}}';

describe("a delta template", () => {
  it("finds the piece of a frame that is like the one that was learnt", () => {
    const template = new DeltaTemplate();
    template.learnEvent(frame(plain), JSON.parse(plain));
    const text = frame(plain.replace('"a"', '"\\u00e9\\n"'));
    expect(template.match(text, 0)).toBe(text.length);
    expect([template.readText(text), template.field, template.index]).toEqual(["é\n", "text", 2]);
  });

  for (const [name, json] of [
    ["another event", plain.replace("content_block_delta", "content_block_start")],
    ["an unknown kind of delta", plain.replace("text_delta", "lyrics_delta")],
    ["an empty piece", plain.replace('"a"', '""')],
  ] as const) {
    it(`learns nothing from ${name}`, () => {
      const template = new DeltaTemplate();
      template.learnEvent(frame(json), JSON.parse(json));
      expect(template.match(frame(json), 0)).toBe(-1);
    });
  }
});

const texts = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: "grapheme", maxLength: 6 }),
  fc.constantFrom("", "#", "\n", '"', "\\", '"text":"', "\u2028", "🙂", '{"a":', "1}"),
);

const deltas = fc
  .tuple(
    fc.constantFrom(
      ...["text_delta:text", "text_delta:text", "thinking_delta:thinking"],
      ...["input_json_delta:partial_json", "signature_delta:signature"],
    ),
    texts,
    fc.constantFrom<Record<string, JsonValue>>({}, {}, { text: "x" }, { thinking: "y" }),
  )
  .map(([kind, text, extra]) => {
    const [type = "", field = ""] = kind.split(":");
    return { ...extra, type, [field]: text };
  });

const blocks = fc.constantFrom<JsonValue>(
  { type: "text", text: "" },
  { type: "thinking", thinking: "", signature: "" },
  { type: "tool_use", id: "t", name: "f", input: {} },
  { type: "server_tool_use", id: "s", name: "web_search", input: {} },
);

const events = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({ index: fc.nat(1), delta: deltas })
      .map((fields) => ({ type: "content_block_delta", ...fields })),
  },
  fc
    .record({ index: fc.nat(1), content_block: blocks })
    .map((fields) => ({ type: "content_block_start", ...fields })),
  fc.nat(1).map((index) => ({ type: "content_block_stop", index })),
  fc.constantFrom<JsonValue>(
    { type: "ping" },
    { type: "message_start", message: { id: "m", model: "v", usage: { input_tokens: 3 } } },
    {
      type: "message_delta",
      delta: { stop_reason: "end_turn", stop_sequence: null },
      usage: { output_tokens: 2 },
    },
  ),
);

/** Streams of any events, some of them many times over; now and then one is broken. */
const streams = fc
  .record({
    events: fc.array(fc.tuple(events, fc.array(texts, { maxLength: 4 }), fc.nat(80)), {
      maxLength: 12,
    }),
    run: fc.integer({ min: 1, max: 6 }),
  })
  .map(({ events: all, run }) => {
    const jsons = all.flatMap(([event, again, fault]) => {
      const json = JSON.stringify(event);
      if (fault === 0) return [json.replace(/"(text|thinking)":"/, "$&\\x")];
      if (fault === 1) return [json.replace(/"(text|thinking)":"/, "$&\t")];
      if (fault === 2) return ['{"type":"error","error":{"type":"overloaded_error"}}'];
      const more = again.map((text) =>
        json.replace(/("(?:text|thinking|partial_json)":)"(?:[^"\\]|\\.)*"/, (_all, name: string) =>
          name.concat(JSON.stringify(text)),
        ),
      );
      return [json, ...more];
    });
    return { jsons: [...jsons, '{"type":"message_stop"}'], run };
  });

describe("reading by comparing", () => {
  it("makes of each stream what parsing each frame makes of it", () => {
    fc.assert(
      fc.property(streams, ({ jsons, run }) => {
        const compared = readAll(createStreamReader(ask), jsons.map(frame), run);
        // A frame with a comment is never compared.
        const parsed = jsons.map((json) => `: parse it\n${frame(json)}`);
        expect(compared).toEqual(readAll(createStreamReader(ask), parsed, run));
      }),
    );
  });
});
