import { describe, expect, it } from "vitest";
import { ChunkedBody } from "./chunked-body.ts";
import { chunkExtensions, malformed } from "./refusal.ts";

function read(text: string, cut: number): { body: string; end: number; chunks: ChunkedBody } {
  const bytes = Buffer.from(text, "latin1");
  let body = "";
  const chunks = new ChunkedBody((piece) => {
    body += piece.toString("latin1");
  });
  let end = 0;
  for (const piece of cut === 0 ? [...bytes].map((code) => Buffer.of(code)) : halves(bytes, cut)) {
    if (!chunks.ended) end += chunks.read(piece, 0);
  }
  return { body, end, chunks };
}

function halves(bytes: Buffer, cut: number): Buffer[] {
  return [bytes.subarray(0, cut), bytes.subarray(cut)];
}

const plain = "3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n";

describe("ChunkedBody", () => {
  for (const [name, trailers] of [
    ["without trailers", ""],
    ["with trailers", "X-Late: 1\r\nb: 2\r\n"],
  ] as const) {
    it(`is the same wherever its bytes are cut, ${name}`, () => {
      const text = `${plain}${trailers}\r\nGET /`;
      for (let cut = 0; cut <= text.length; cut += 1) {
        const { body, end, chunks } = read(text, cut);
        expect([cut, body, end]).toEqual([cut, "abc0123456789", text.length - 5]);
        const late = trailers === "" ? undefined : { "x-late": "1", b: "2" };
        expect(chunks.trailers === undefined ? undefined : { ...chunks.trailers }).toEqual(late);
      }
    });
  }

  it("has not ended before its last line has", () => {
    for (let cut = 1; cut < plain.length + 2; cut += 1) {
      const chunks = new ChunkedBody(() => {});
      chunks.read(Buffer.from(`${plain}\r\n`.slice(0, cut)), 0);
      expect(chunks.ended).toBe(false);
    }
  });

  const wrong = [
    ...["\r\n", "g\r\n", "-1\r\n", "+1\r\na\r\n", "0x1\r\na\r\n", " 1\r\na\r\n", "1 \r\na\r\n"],
    ...["1\na\n", "1\r\na\n", "1\r\nab\r\n", "1\r\na\rb", "1\ra", "1\r\na0\r\n", "1\t\r\na\r\n"],
    ...["12345678901234\r\n", "0\r\na: b\n\r\n", "0\r\nb\r\n\r\n", "0\r\nhost: a\r\n\r\n"],
    ...["0\r\n\n", "0\n\r\n", "0\r\n a: b\r\n\r\n", "0\r\na : b\r\n\r\n", "1,\r\na\r\n"],
  ];
  for (const text of wrong) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      for (let cut = 0; cut < text.length; cut += 1) {
        expect(() => read(text, cut)).toThrow(malformed.message);
      }
    });
  }

  for (const text of ["1;a\r\nb\r\n", "1;\r\nb\r\n", '0;a="\r\n"\r\n\r\n']) {
    it(`takes no extension: ${JSON.stringify(text)}`, () => {
      expect(() => read(text, 0)).toThrow(chunkExtensions.message);
    });
  }
});
