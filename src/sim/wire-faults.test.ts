import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { anyText } from "../../test/support/any-text.ts";
import { dropLastFrame, dropUsage, splitWithinCharacters } from "./wire-faults.ts";

describe("splitWithinCharacters()", () => {
  it("loses nothing", () => {
    fc.assert(
      fc.property(anyText(), (text) => {
        expect(Buffer.concat(splitWithinCharacters(text))).toEqual(Buffer.from(text));
      }),
    );
  });

  it("cuts within characters", () => {
    expect(splitWithinCharacters("aé🌊").map((piece) => piece.length)).toEqual([2, 2, 1, 1, 1]);
  });
});

describe("dropUsage()", () => {
  it("drops frames of usage alone and usage within others", () => {
    const usage = { prompt_tokens: 1 };
    const frames =
      `data: {"choices":[{"index":0}]}\n\n` +
      `data: ${JSON.stringify({ choices: [], usage })}\n\n` +
      `event: message_start\ndata: ${JSON.stringify({ message: { id: "m", usage } })}\n\n`;
    expect(dropUsage(frames)).toBe(
      `data: {"choices":[{"index":0}]}\n\nevent: message_start\ndata: {"message":{"id":"m"}}\n\n`,
    );
  });
});

describe("dropLastFrame()", () => {
  it("keeps all others", () => {
    expect(dropLastFrame("data: a\n\ndata: b\n\ndata: [DONE]\n\n")).toBe("data: a\n\ndata: b\n\n");
    expect(dropLastFrame("data: [DONE]\n\n")).toBe("");
  });
});
