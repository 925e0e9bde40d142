import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createProducedMeter as createAnthropicMeter } from "./anthropic/produced.ts";
import { createProducedMeter as createOpenAiMeter } from "./openai/produced.ts";

type Written = (json: string) => string;

/** How vendors write JSON: as it is, or with everything escaped that is not ASCII. */
const escapes: Written[] = [
  (json) => json,
  (json) =>
    json.replace(
      /[\u0080-\uffff]/g,
      (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
    ),
];

function writeChunk(delta: object, written: Written, end = "\n\n"): string {
  const head = { id: "chatcmpl-1", object: "chat.completion.chunk", model: "m" };
  const choices = [{ index: 0, delta, finish_reason: null }];
  return `data: ${written(JSON.stringify({ ...head, choices }))}${end}`;
}

const sayChunk = (text: string, written: Written) => writeChunk({ content: text }, written);

function sayEvent(text: string, written: Written): string {
  const delta = { type: "text_delta", text };
  const event = { type: "content_block_delta", index: 0, delta };
  return `event: content_block_delta\ndata: ${written(JSON.stringify(event))}\n\n`;
}

const dialects = [
  { name: "openai", create: createOpenAiMeter, say: sayChunk },
  { name: "anthropic", create: createAnthropicMeter, say: sayEvent },
];

describe.each(dialects)("what a stream of $name has produced", ({ create, say }) => {
  const texts = fc.array(fc.string({ unit: "binary", maxLength: 30 }), { maxLength: 12 });

  it("is never more than what is measured, however it is written and cut", () => {
    fc.assert(
      fc.property(texts, fc.constantFrom(...escapes), fc.nat(4), (words, written, run) => {
        const meter = create();
        let measured = 0;
        for (let at = 0; at < words.length; at += run + 1) {
          const frames = words.slice(at, at + run + 1).map((word) => say(word, written));
          measured += meter.measureFrames(Buffer.from(frames.join("")));
        }
        // A half of a pair is no letter: it is written as a mark of three bytes.
        expect(measured).toBeGreaterThanOrEqual(Buffer.byteLength(words.join("")));
      }),
    );
  });

  it("is measured closely", () => {
    const meter = create();
    const words = Array.from({ length: 1_000 }, (_, i) => ` word ${i}`);
    let measured = 0;
    for (const word of words) {
      measured += meter.measureFrames(Buffer.from(say(word, (json) => json)));
    }
    expect(measured).toBeLessThan(1.1 * Buffer.byteLength(words.join("")));
  });
});

describe("what a stream has produced", () => {
  it("counts the arguments of tool calls, and something for their frames", () => {
    const frame = (json: string) =>
      writeChunk({ tool_calls: [{ index: 0, function: { arguments: json } }] }, (each) => each);
    const meter = createOpenAiMeter();
    expect(meter.measureFrames(Buffer.from(frame("{")))).toBe(1 + 8);
    expect(meter.measureFrames(Buffer.from(frame('"a":') + frame("1}")))).toBe(4 + 2 + 16);
  });

  it("counts every byte of what makes no sense", () => {
    const meter = createOpenAiMeter();
    expect(meter.measureFrames(Buffer.from("data: {oops\n\n"))).toBe(11);
    expect(meter.measureFrames(Buffer.from(": a comment\n\n"))).toBe(0);
  });

  it("knows other ends of lines", () => {
    for (const end of ["\r\n\r\n", "\r\r"]) {
      const frames = writeChunk({ content: "ab" }, (each) => each, end).repeat(3);
      expect(createOpenAiMeter().measureFrames(Buffer.from(frames))).toBeGreaterThanOrEqual(6);
    }
  });
});
