import { describe, expect, it } from "vitest";
import { type DecodedFields, FieldCollector } from "./decoded-fields.ts";
import { createHeaderField } from "./header-field.ts";

type Pair = readonly [name: string, value: string];

function collect(fields: readonly Pair[], bytesMax = 32 * 1024): DecodedFields {
  const collector = new FieldCollector(bytesMax);
  for (const [name, value] of fields) collector.add(createHeaderField(name, value));
  return collector.finish();
}

const head: readonly Pair[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/a?b=%20"],
  [":authority", "weir:8080"],
];
const method = head[0] ?? ["", ""];
const scheme = head[1] ?? ["", ""];
const path = head[2] ?? ["", ""];

describe("FieldCollector", () => {
  const joined: Array<[name: string, values: string[], expected: string | string[]]> = [
    ["x-a", ["1", "2"], "1, 2"],
    ["accept", ["a", "b", "c"], "a, b, c"],
    ["cookie", ["a=1", "b=2"], "a=1; b=2"],
    ["set-cookie", ["a=1", "b=2"], ["a=1", "b=2"]],
    ["set-cookie", ["a=1"], ["a=1"]],
    ["content-type", ["a/b", "c/d"], "a/b"],
    ["authorization", ["one", "two"], "one"],
    ["x-empty", ["", ""], ", "],
    ["constructor", ["x"], "x"],
    ["__proto__", ["x", "y"], "x, y"],
  ];
  for (const [name, values, expected] of joined) {
    it(`makes ${JSON.stringify(expected)} of "${name}", ${values.length} times`, () => {
      const fields = collect(values.map((value) => [name, value] as const));
      expect(fields.headers[name]).toEqual(expected);
      expect(fields.trailersFlaw).toBeUndefined();
    });
  }

  it("has nothing that was not sent", () => {
    const { headers } = collect([]);
    const names = ["constructor", "toString", "__proto__"];
    expect(names.map((name) => headers[name])).toEqual([undefined, undefined, undefined]);
  });

  it("begins anew after each block", () => {
    const collector = new FieldCollector(100);
    for (let i = 0; i < 3; i += 1) collector.add(createHeaderField("TE", "x".repeat(50)));
    expect(collector.finish()).toMatchObject({ tooLarge: true });
    collector.add(createHeaderField("x-a", "1"));
    expect(collector.finish()).toMatchObject({ tooLarge: false, trailersFlaw: undefined });
  });
});

describe("requestFlaw", () => {
  const sound: Array<[string, readonly Pair[]]> = [
    ["a request", head],
    ["a request without an authority", head.slice(0, 3)],
    ["te: trailers", [...head, ["te", "trailers"]]],
    ["te: Trailers", [...head, ["te", "Trailers"]]],
    ["OPTIONS *", [[":method", "OPTIONS"], scheme, [":path", "*"]]],
    [
      "CONNECT",
      [
        [":method", "CONNECT"],
        [":authority", "a:1"],
      ],
    ],
    ["an empty value", [...head, ["x-a", ""]]],
    ["a value with a tab, a space and Latin-1", [...head, ["x-a", "a\t b\xe9"]]],
    ["a length twice", [...head, ["content-length", "5"], ["content-length", "5"]]],
  ];
  for (const [what, fields] of sound) {
    it(`finds none in ${what}`, () => expect(collect(fields).requestFlaw).toBeUndefined());
  }

  const flawed: Array<[string, readonly Pair[]]> = [
    ["no pseudo field at all", [["x-a", "1"]]],
    ["no method", [scheme, path]],
    ["no scheme", [method, path]],
    ["no path", [method, scheme]],
    ["an empty path", [method, scheme, [":path", ""]]],
    ["a path without a slash", [method, scheme, [":path", "a"]]],
    ["a path with a space", [method, scheme, [":path", "/a b"]]],
    ["a path with a line break", [method, scheme, [":path", "/a\r\nb"]]],
    ["POST *", [method, scheme, [":path", "*"]]],
    ["a method with a space", [[":method", "PO ST"], scheme, path]],
    ["an empty method", [[":method", ""], scheme, path]],
    ["a malformed scheme", [method, [":scheme", "ht/tp"], path]],
    ["an authority with a space", [...head.slice(0, 3), [":authority", "a b"]]],
    ["CONNECT with a path", [[":method", "CONNECT"], scheme, path, [":authority", "a:1"]]],
    ["CONNECT without an authority", [[":method", "CONNECT"]]],
    ["two paths", [...head, path]],
    ["two equal methods", [method, ...head]],
    ["a pseudo field after another", [method, scheme, ["x-a", "1"], path]],
    ["an unknown pseudo field", [...head, [":protocol", "websocket"]]],
    ["a response's pseudo field", [[":status", "200"], ...head]],
    ["an upper-case name", [...head, ["X-A", "1"]]],
    ["a name with a space", [...head, ["x a", "1"]]],
    ["a name with a colon", [...head, ["x:a", "1"]]],
    ["an empty name", [...head, ["", "1"]]],
    ["a name beyond ASCII", [...head, ["x\xe9", "1"]]],
    ["a value with a NUL", [...head, ["x-a", "a\0b"]]],
    ["a value with a line feed", [...head, ["x-a", "a\nb"]]],
    ["a value with a carriage return", [...head, ["x-a", "a\rb"]]],
    ["a value with a delete", [...head, ["x-a", "a\x7fb"]]],
    ["a value that begins with a space", [...head, ["x-a", " a"]]],
    ["a value that ends with a tab", [...head, ["x-a", "a\t"]]],
    ["te: gzip", [...head, ["te", "gzip"]]],
    ["te: trailers, gzip", [...head, ["te", "trailers, gzip"]]],
    ["connection", [...head, ["connection", "close"]]],
    ["keep-alive", [...head, ["keep-alive", "1"]]],
    ["proxy-connection", [...head, ["proxy-connection", "close"]]],
    ["transfer-encoding", [...head, ["transfer-encoding", "chunked"]]],
    ["upgrade", [...head, ["upgrade", "h2c"]]],
    ["a length that is no number", [...head, ["content-length", "1e3"]]],
    ["a length below zero", [...head, ["content-length", "-1"]]],
    ["an empty length", [...head, ["content-length", ""]]],
    ["a length beyond all numbers", [...head, ["content-length", "9".repeat(16)]]],
    ["two lengths", [...head, ["content-length", "1"], ["content-length", "2"]]],
  ];
  for (const [what, fields] of flawed) {
    it(`finds ${what}`, () => expect(collect(fields).requestFlaw).toBeTypeOf("string"));
  }

  it("finds what comes after the list has become too large", () => {
    expect(collect([...head, ["connection", "close"]], 100).requestFlaw).toBeTypeOf("string");
  });

  it("misses nothing in a list that is too large", () => {
    expect(collect([["x-a", "a".repeat(100)], ...head], 100)).toMatchObject({
      tooLarge: true,
      requestFlaw: undefined,
    });
  });
});

describe("trailersFlaw", () => {
  it("finds none in fields without a colon", () => {
    expect(collect([["x-a", "1"]]).trailersFlaw).toBeUndefined();
  });

  for (const field of head) {
    it(`finds ${field[0]}`, () => expect(collect([field]).trailersFlaw).toBeTypeOf("string"));
  }

  it("finds what no message may have", () => {
    expect(collect([["connection", "close"]]).trailersFlaw).toBeTypeOf("string");
  });
});
