import { describe, expect, it } from "vitest";
import { mapValue, parseInt64 } from "./postgres-session.ts";

describe("parseInt64()", () => {
  const cases: readonly [string, number | bigint][] = [
    ["0", 0],
    ["-7", -7],
    ["9007199254740991", 9_007_199_254_740_991],
    ["9007199254740992", 9_007_199_254_740_992n],
    ["-9223372036854775808", -(2n ** 63n)],
  ];
  for (const [text, value] of cases) {
    it(`reads ${text} exactly`, () => {
      expect(parseInt64(text)).toBe(value);
    });
  }
});

describe("mapValue()", () => {
  it("replaces NUL in text, which Postgres does not hold, and leaves all else", () => {
    expect(mapValue("a\0b\0")).toBe("a\u{FFFD}b\u{FFFD}");
    const bytes = new Uint8Array([0]);
    for (const value of ["", "a", 0, 1n, null, bytes]) expect(mapValue(value)).toBe(value);
  });
});
