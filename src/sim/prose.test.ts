import { describe, expect, it } from "vitest";
import { seedFrom, writeProse } from "./prose.ts";

describe("writeProse()", () => {
  it("has exactly the bytes that were asked for, in ASCII, with a full stop at the end", () => {
    for (const bytes of [0, 1, 4, 257, 65_536, 65_537, 131_072, 200_001]) {
      const text = writeProse(7, bytes);
      expect(Buffer.byteLength(text)).toBe(bytes);
      expect(text).toHaveLength(bytes);
      if (bytes > 0) expect(text.endsWith(".")).toBe(true);
    }
  });

  it("repeats for the same seed", () => {
    expect(writeProse(seedFrom("a"), 500)).toBe(writeProse(seedFrom("a"), 500));
    expect(writeProse(seedFrom("a"), 500)).not.toBe(writeProse(seedFrom("b"), 500));
  });
});
