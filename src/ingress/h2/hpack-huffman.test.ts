import { describe, expect, it } from "vitest";
import { HpackError } from "./hpack-error.ts";
import { decodeHuffman } from "./hpack-huffman.ts";

function decode(hex: string): string {
  const bytes = Buffer.from(`aa${hex}aa`, "hex");
  return decodeHuffman(bytes, 1, bytes.length - 1);
}

describe("decodeHuffman()", () => {
  const texts = [
    ["", ""],
    ["f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"],
    ["a8eb10649cbf", "no-cache"],
    ["d07abe941054d444a8200595040b8166e082a62d1bff", "Mon, 21 Oct 2013 20:13:21 GMT"],
    ["9d29ad171863c78f0b97c8e9ae82ae43d3", "https://www.example.com"],
  ] as const;
  for (const [hex, text] of texts) {
    it(`reads "${text}"`, () => expect(decode(hex)).toBe(text));
  }

  // RFC 7541, appendix B: of each length the last symbol, its code and its bits.
  const codes: Array<[symbol: number, code: number, bits: number]> = [
    [116, 0x9, 5],
    [117, 0x2d, 6],
    [122, 0x7b, 7],
    [90, 0xfd, 8],
    [63, 0x3fc, 10],
    [124, 0x7fc, 11],
    [62, 0xffb, 12],
    [126, 0x1ffd, 13],
    [125, 0x3ffd, 14],
    [123, 0x7ffe, 15],
    [208, 0x7fff2, 19],
    [226, 0xfffed, 20],
    [230, 0x1fffe8, 21],
    [233, 0x3fffeb, 22],
    [239, 0x7ffff4, 23],
    [237, 0xfffff5, 24],
    [235, 0x1ffffef, 25],
    [255, 0x3ffffee, 26],
    [254, 0x7fffff0, 27],
    [249, 0xffffffe, 28],
    [22, 0x3ffffffe, 30],
  ];
  for (const [symbol, code, bits] of codes) {
    it(`reads the octet ${symbol}, of ${bits} bits, at each place of a byte`, () => {
      for (let before = 0; before < 8; before += 1) {
        // "a" has the code 00011.
        const ones = code.toString(2).padStart(bits, "0");
        const text = "00011".repeat(before) + ones;
        expect(decode(toHex(text))).toBe("a".repeat(before) + String.fromCharCode(symbol));
      }
    });
  }

  it("reads what is longer than its scratch", () => {
    expect(decode("18c6318c63".repeat(2000))).toBe("a".repeat(16_000));
  });

  const broken = [
    ["padding of eight bits", "ff"],
    ["padding of more than eight bits", "1fff"],
    ["padding that is zeros", "18"],
    ["padding that is not all ones", "1d"],
    ["the end-of-string code", "ffffffff"],
    ["the end-of-string code after a letter", toHex(`00011${"1".repeat(30)}`)],
    ["a code that is cut off", "fffffe"],
  ] as const;
  for (const [what, hex] of broken) {
    it(`refuses ${what}`, () => expect(() => decode(hex)).toThrow(HpackError));
  }
});

/** Padded with ones to whole bytes. */
function toHex(bits: string): string {
  const whole = bits.padEnd(Math.ceil(bits.length / 8) * 8, "1");
  return whole.replace(/.{4}/g, (four) => Number.parseInt(four, 2).toString(16));
}
