import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isJsonObject, type JsonValue } from "../../mesh/json.ts";
import { readAll } from "../read-all.fixture.ts";
import { createChatAsk } from "../typed-ask.ts";
import { readChatAsk } from "./chat-ask.ts";
import { DeltaTemplate } from "./delta-template.ts";
import { createStreamReader } from "./stream-reader.ts";

const body = { model: "m", stream: true, messages: [{ role: "user", content: "hi" }] };
const passing = readChatAsk(body, 400);
const decoding = createChatAsk(passing.chat(), true, 400);

function frame(json: string): string {
  return `data: ${json}\n\n`;
}

function learn(json: string): DeltaTemplate {
  const template = new DeltaTemplate();
  const chunk: unknown = JSON.parse(json);
  if (isJsonObject(chunk)) template.learnChunk(frame(json), chunk);
  return template;
}

function matches(learnt: string, asked: string): boolean {
  const text = frame(asked);
  return learn(learnt).match(text, 0) === text.length;
}

const plain = '{"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}';

describe("a delta template", () => {
  it("finds the text of a frame that is like the one that was learnt", () => {
    const template = learn(plain);
    const text = frame(plain.replace('"a"', '" so\\n\\u00e9"'));
    expect(template.match(text, 0)).toBe(text.length);
    expect(template.readText(text)).toBe(" so\né");
  });

  for (const [name, learnt, asked] of [
    ["another id", plain, plain.replace('"c"', '"d"')],
    ["an end", plain, plain.replace("null", '"stop"')],
    ["another choice", plain, plain.replace('"index":0', '"index":1')],
    ["no text", plain, plain.replace('"a"', '""')],
    ["a raw control character", plain, plain.replace('"a"', '"\t"')],
    ["a text without an end", plain, '{"id":"c","choices":[{"index":0,"delta":{"content":"a'],
    ["a field more", plain, plain.replace('"a"', '"a","refusal":"b"')],
  ] as const) {
    it(`does not know a frame with ${name}`, () => {
      expect(matches(learnt, plain)).toBe(true);
      expect(matches(learnt, asked)).toBe(false);
    });
  }

  for (const [name, json] of [
    ["an end", plain.replace("null", '"stop"')],
    ["a usage", plain.replace('"c"', '"c","usage":{"prompt_tokens":1}')],
    ["probabilities", plain.replace("null", 'null,"logprobs":{"content":[]}')],
    ["a tool call beside the text", plain.replace('"a"', '"a","tool_calls":[{}]')],
    ["a thought beside the text", plain.replace('"a"', '"a","reasoning":"b"')],
    ["two choices", plain.replace("[{", '[{"index":1},{')],
  ] as const) {
    it(`learns nothing from a frame with ${name}`, () => {
      expect(matches(json, json)).toBe(false);
    });
  }

  it("is not fooled by another field of the same name", () => {
    const twice = plain.replace('"id"', '"x":{"content":"a"},"id"');
    expect(matches(twice, twice)).toBe(false);
  });

  it("passes over padding of any length", () => {
    const padded = plain.replace(/}$/, ',"obfuscation":"xyz"}');
    expect(matches(padded, padded.replace("xyz", "0123456789"))).toBe(true);
    expect(matches(padded, padded.replace("xyz", 'x","error":"y'))).toBe(false);
    expect(matches(padded, padded.replace("xyz", "\\q"))).toBe(false);
  });

  for (const [name, other] of [
    ["an end", plain.replace("null", '"stop"')],
    ["no text", plain.replace('"a"', '""')],
    ["another id", plain.replace('"c"', '"d"')],
  ] as const) {
    it(`passes over frames up to one with ${name}`, () => {
      const template = learn(plain);
      const before = frame(plain) + frame(plain.replace('"a"', '"bcd"'));
      expect(template.skip(before + frame(other) + frame(plain), 0)).toBe(before.length);
      expect(template.skipped).toBe(2);
    });
  }

  it("stops learning in a stream whose frames are never alike", () => {
    const template = new DeltaTemplate();
    const json = (id: number) => plain.replace('"c"', `"${id}"`);
    for (let id = 0; id < 9; id += 1) template.learnChunk(frame(json(id)), JSON.parse(json(id)));
    expect(template.match(frame(json(8)), 0)).toBe(-1);
  });
});

/** JSON text that says the same in another way: other escapes, and spaces. */
function respell(value: JsonValue, escapes: boolean, space: string): string {
  const text = JSON.stringify(value).replaceAll('":', `":${space}`);
  return escapes
    ? text.replace(/[é→]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`)
    : text;
}

const texts = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: "grapheme", maxLength: 6 }),
  fc.constantFrom("", "#", "\n", '"', "\\", '"content":"', "é→", "\u2028", "[DONE]", "🙂", "a\tb"),
);

const extras = fc.constantFrom<Record<string, JsonValue>>(
  {},
  { content: "x" },
  { usage: null, service_tier: "default" },
  { system_fingerprint: "é→", x_groq: null },
  { usage: { prompt_tokens: 3, completion_tokens: 1 } },
  { error: null, type: "chunk" },
);

const deltas = fc.constantFrom<Record<string, JsonValue>>(
  {},
  { role: "assistant" },
  { tool_calls: [], refusal: null },
  { reasoning: "", reasoning_content: null },
  { reasoning_content: "thought" },
  { tool_calls: [{ index: 0, id: "t", function: { name: "f", arguments: "{}" } }] },
  { refusal: "no" },
);

/** What the frames of a stream have in common. */
const shapes = fc
  .record({
    field: fc.constantFrom("content", "content", "reasoning_content", "reasoning"),
    index: fc.constantFrom(0, 0, 1),
    extra: extras,
    delta: deltas,
    finish: fc.constantFrom(null, null, null, "", "stop"),
    logprobs: fc.constantFrom(null, null, { content: [{ token: "a", logprob: -1, bytes: null }] }),
    turned: fc.boolean(),
    padded: fc.boolean(),
    escapes: fc.boolean(),
    space: fc.constantFrom("", "", " "),
  })
  .map((shape) => (text: string): string => {
    const { field, index, extra, finish, logprobs } = shape;
    const delta = shape.turned
      ? { [field]: text, ...shape.delta }
      : { ...shape.delta, [field]: text };
    const choice = { index, delta, logprobs, finish_reason: finish };
    const parts = shape.turned ? { choices: [choice], ...extra } : { ...extra, choices: [choice] };
    const padding = shape.padded ? { obfuscation: "p".repeat(text.length % 5) } : {};
    return respell({ id: "c1", model: "v", ...parts, ...padding }, shape.escapes, shape.space);
  });

/** Streams whose frames are of a few shapes; now and then one is broken. */
const streams = fc
  .record({
    shapes: fc.array(shapes, { minLength: 1, maxLength: 3 }),
    frames: fc.array(fc.tuple(fc.nat(2), texts, fc.nat(60)), { maxLength: 14 }),
    done: fc.boolean(),
    run: fc.integer({ min: 1, max: 6 }),
  })
  .map(({ shapes: kinds, frames, done, run }) => {
    const jsons = frames.map(([kind, text, fault]) => {
      const json = kinds[kind % kinds.length]?.(text) ?? "";
      if (fault === 0) return json.replace(/"(content|reasoning)":\s*"/, "$&\\x");
      if (fault === 1) return json.replace(/"(content|reasoning)":\s*"/, "$&\t");
      if (fault === 2) return json.slice(0, -1);
      return fault === 3 ? '{"error":{"message":"no"}}' : json;
    });
    return { jsons: done ? [...jsons, "[DONE]"] : jsons, run };
  });

describe("reading by comparing", () => {
  it("makes of each stream what parsing each frame makes of it", () => {
    fc.assert(
      fc.property(streams, ({ jsons, run }) => {
        const compared = readAll(createStreamReader(decoding), jsons.map(frame), run);
        // A frame of two lines is never compared.
        const lines = jsons.map((json) => `: parse it\n${frame(json)}`);
        expect(compared).toEqual(readAll(createStreamReader(decoding), lines, run));
      }),
    );
  });
});

/** Sound streams: some kinds of text frames, an end, perhaps a usage. */
const sound = fc
  .record({
    fields: fc.array(fc.constantFrom("content", "reasoning", "tool"), {
      minLength: 1,
      maxLength: 3,
    }),
    frames: fc.array(fc.tuple(fc.nat(2), texts), { minLength: 1, maxLength: 14 }),
    told: fc.boolean(),
    space: fc.constantFrom("", " "),
    padded: fc.boolean(),
    run: fc.integer({ min: 1, max: 6 }),
  })
  .map(({ fields, frames, told, space, padded, run }) => {
    const write = (delta: JsonValue, finish: string | null): string => {
      const padding = padded ? { p: "x".repeat(JSON.stringify(delta).length % 4) } : {};
      const choices = [{ index: 0, delta, finish_reason: finish }];
      return respell({ id: "c1", choices, ...padding }, false, space);
    };
    const jsons = frames.map(([kind, text]) => {
      const field = fields[kind % fields.length] ?? "content";
      const call = { index: 0, id: "t", function: { name: "f", arguments: text } };
      return write(field === "tool" ? { tool_calls: [call] } : { [field]: text }, null);
    });
    jsons.push(write(told ? { content: "z" } : {}, "length"));
    const usage = { prompt_tokens: 3, completion_tokens: 1 };
    if (told) jsons.push(respell({ id: "c1", choices: [], usage }, false, space));
    return { jsons: [...jsons, "[DONE]"], run };
  });

describe("passing on by comparing", () => {
  it("passes on all frames but those that the caller did not ask for", () => {
    fc.assert(
      fc.property(sound, ({ jsons, run }) => {
        const reader = createStreamReader(passing);
        let passed = "";
        for (let at = 0; at < jsons.length; at += run) {
          const frames = Buffer.from(
            jsons
              .slice(at, at + run)
              .map(frame)
              .join(""),
          );
          passed += reader.read(frames)?.wire?.bytes.toString() ?? "";
        }
        const kept = jsons.filter((json) => json !== "[DONE]" && !/prompt_tokens/.test(json));
        expect(passed).toBe(kept.map(frame).join(""));
        const decoder = createStreamReader(decoding);
        for (const json of jsons) decoder.read(Buffer.from(frame(json)));
        expect(reader.end()).toEqual(decoder.end());
      }),
    );
  });
});
