import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { anyText } from "../../test/support/any-text.ts";
import { countTokens, cutToTokens, splitByTokens } from "./tokens.ts";

// A lone surrogate is no UTF-8 and cannot come out as it went in.
const texts = anyText();
const numbers = fc.integer({ min: 1, max: 9 });

describe("countTokens()", () => {
  it("counts four bytes a token, at least one", () => {
    const counts = ["", "a", "abcd", "abcde", "🌊", "🌊a"].map(countTokens);
    expect(counts).toEqual([1, 1, 1, 2, 1, 2]);
  });
});

describe("splitByTokens()", () => {
  it("gives pieces of at most so many tokens that make the text again", () => {
    fc.assert(
      fc.property(texts, numbers, (text, tokens) => {
        const pieces = splitByTokens(text, tokens);
        expect(pieces.join("")).toBe(text);
        for (const piece of pieces) {
          expect(piece).not.toBe("");
          expect(countTokens(piece)).toBeLessThanOrEqual(tokens);
        }
      }),
    );
  });
});

describe("cutToTokens()", () => {
  it("gives a beginning of the text, as long as fits", () => {
    fc.assert(
      fc.property(texts, numbers, (text, tokens) => {
        const cut = cutToTokens(text, tokens);
        expect(text.startsWith(cut)).toBe(true);
        const bytes = Buffer.byteLength(cut);
        expect(bytes).toBeLessThanOrEqual(tokens * 4);
        // The next character, which did not fit, has at most four bytes.
        if (cut !== text) expect(bytes).toBeGreaterThan(tokens * 4 - 4);
      }),
    );
  });
});
