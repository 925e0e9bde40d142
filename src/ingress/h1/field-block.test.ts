import { describe, expect, it } from "vitest";
import { FieldBlock } from "./field-block.ts";
import { HEAD_BYTES_MAX, headTooLarge, malformed } from "./refusal.ts";

const lines = "GET / HTTP/1.1\r\nHost: \xe9\r\nx:\ty\r\n";
const bytes = (text: string) => Buffer.from(text, "latin1");

describe("FieldBlock", () => {
  it("ends behind the empty line, wherever the bytes are cut", () => {
    const whole = bytes(`${lines}\r\nrest`);
    const end = lines.length + 2;
    for (let cut = 0; cut <= whole.length; cut += 1) {
      const block = new FieldBlock();
      const first = block.read(whole.subarray(0, cut), 0);
      const found = first >= 0 ? first : cut + block.read(whole.subarray(cut), 0);
      expect([cut, found, block.text, block.begun]).toEqual([cut, end, lines, false]);
    }
  });

  it("takes one byte after another, and one block after another", () => {
    const block = new FieldBlock();
    for (const text of [lines, "", "a: b\r\n"]) {
      const whole = bytes(`${text}\r\n`);
      whole.forEach((_, at) => {
        const found = block.read(whole.subarray(at, at + 1), 0);
        expect(found).toBe(at === whole.length - 1 ? 1 : -1);
      });
      expect(block.text).toBe(text);
    }
  });

  it("begins anywhere in the bytes", () => {
    const block = new FieldBlock();
    expect(block.read(bytes(`body${lines}\r\n`), 4)).toBe(4 + lines.length + 2);
    expect(block.text).toBe(lines);
  });

  const wrong = ["a\nb", "a\r\r\n", "a\rb", "\n", "\r\r", "a\0", "a\x0b", "a\x1f", "a\x7f"];
  for (const text of wrong) {
    it(`refuses ${JSON.stringify(text)}, however it comes`, () => {
      const whole = bytes(text);
      expect(() => new FieldBlock().read(whole, 0)).toThrow(malformed.message);
      expect(() => {
        const block = new FieldBlock();
        for (let at = 0; at < whole.length; at += 1) block.read(whole.subarray(at, at + 1), 0);
      }).toThrow(malformed.message);
    });
  }

  it("is as large as it may be, and no larger, however it comes", () => {
    for (const piece of [HEAD_BYTES_MAX * 2, 1_000]) {
      for (const [length, fits] of [
        [HEAD_BYTES_MAX, true],
        [HEAD_BYTES_MAX + 1, false],
      ] as const) {
        const whole = bytes(`${"x".repeat(length - 4)}\r\n\r\n`);
        const read = () => {
          const block = new FieldBlock();
          let found = -1;
          for (let at = 0; at < whole.length; at += piece) {
            found = block.read(whole.subarray(at, at + piece), 0);
          }
          return found;
        };
        if (fits) expect(read()).toBeGreaterThan(0);
        else expect(read).toThrow(headTooLarge.message);
      }
    }
  });

  it("is too large before it ends", () => {
    const block = new FieldBlock();
    const flood = () => {
      for (let i = 0; i < 40; i += 1) block.read(Buffer.alloc(1_000, "a"), 0);
    };
    expect(flood).toThrow(headTooLarge.message);
  });
});
