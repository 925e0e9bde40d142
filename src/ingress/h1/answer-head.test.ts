import { describe, expect, it } from "vitest";
import { createAnswerHead, Framing, writeTrailers } from "./answer-head.ts";

const kept = {
  method: "GET",
  version: "1.1",
  keepAlive: true,
  keepAliveText: "kept\r\n\r\n",
} as const;

describe("createAnswerHead()", () => {
  const framings: Array<[string, number, string[], object, Framing, boolean]> = [
    ["a length", 200, ["content-length", "5"], {}, Framing.LENGTH, true],
    ["no length", 200, [], {}, Framing.CHUNKED, true],
    ["no length in HTTP/1.0", 200, [], { version: "1.0" }, Framing.CLOSE, false],
    [
      "a length in HTTP/1.0",
      200,
      ["content-length", "5"],
      { version: "1.0" },
      Framing.LENGTH,
      true,
    ],
    ["HEAD", 200, ["content-length", "5"], { method: "HEAD" }, Framing.NONE, true],
    ["204", 204, [], {}, Framing.NONE, true],
    ["304", 304, [], {}, Framing.NONE, true],
    ["the last answer", 200, [], { keepAlive: false }, Framing.CHUNKED, false],
  ];
  for (const [name, status, fields, setting, framing, keepAlive] of framings) {
    it(`tells the end of ${name}`, () => {
      const head = createAnswerHead(status, fields, { ...kept, ...setting });
      expect(head).toMatchObject({ framing, keepAlive });
      expect(head.text.includes("transfer-encoding: chunked")).toBe(framing === Framing.CHUNKED);
      expect(head.text.endsWith(keepAlive ? "kept\r\n\r\n" : "connection: close\r\n\r\n")).toBe(
        true,
      );
    });
  }

  it("leaves to the connection what is about it, and takes a date that is given", () => {
    const fields = ["connection", "close", "transfer-encoding", "x", "upgrade", "x", "date", "now"];
    const { text } = createAnswerHead(200, fields, kept);
    expect(text).toBe("HTTP/1.1 200 OK\r\ndate: now\r\ntransfer-encoding: chunked\r\nkept\r\n\r\n");
  });

  it("has a line for each status", () => {
    expect(createAnswerHead(299, [], kept).text.startsWith("HTTP/1.1 299 \r\n")).toBe(true);
  });

  it("says whether it is ASCII", () => {
    expect(createAnswerHead(200, ["a", "b"], kept).ascii).toBe(true);
    expect(createAnswerHead(200, ["a", "\xe9"], kept).ascii).toBe(false);
  });

  const harmful = ["a\r\nb: c", "a\n", "\r", "a\0", "\x7f", "\u0100", "\u2028"];
  for (const value of harmful) {
    it(`refuses the value ${JSON.stringify(value)}`, () => {
      for (const name of ["x-any", "content-type", "x-weir-warnings"]) {
        expect(() => createAnswerHead(200, [name, value], kept)).toThrow(TypeError);
      }
      expect(() => writeTrailers(["x-any", value])).toThrow(TypeError);
    });
  }

  for (const name of ["", "a b", "a:", "a\r\n", "\xe9"]) {
    it(`refuses the name ${JSON.stringify(name)}`, () => {
      expect(() => createAnswerHead(200, [name, "a"], kept)).toThrow(TypeError);
      expect(() => writeTrailers([name, "a"])).toThrow(TypeError);
    });
  }

  for (const length of ["-1", "1.5", "x", "1e99"]) {
    it(`refuses the length ${length}`, () => {
      expect(() => createAnswerHead(200, ["content-length", length], kept)).toThrow(TypeError);
    });
  }
});

describe("writeTrailers()", () => {
  it("leaves out what comes too late", () => {
    const fields = ["a", "1", "content-length", "2", "transfer-encoding", "x", "b", ""];
    expect(writeTrailers(fields)).toBe("a: 1\r\nb: \r\n");
  });
});
