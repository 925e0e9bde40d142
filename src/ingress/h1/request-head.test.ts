import { describe, expect, it } from "vitest";
import { headTooLarge, malformed, noTunnel, unmetExpectation, wrongHost } from "./refusal.ts";
import { parseRequestHead, parseTrailers } from "./request-head.ts";

const parse = (...lines: string[]) => parseRequestHead(lines.map((line) => `${line}\r\n`).join(""));
const get = (...lines: string[]) => parse("GET /a?b HTTP/1.1", "Host: weir", ...lines);

describe("parseRequestHead()", () => {
  it("reads what a request asks for", () => {
    const head = get("X-One:1", "x-one: \t2 ", "Empty:", "b: \xe9");
    expect(head).toMatchObject({ method: "GET", url: "/a?b", version: "1.1", bodyBytes: 0 });
    expect({ ...head.headers }).toEqual({ host: "weir", "x-one": "1, 2", empty: "", b: "\xe9" });
  });

  it("joins fields as node:http does", () => {
    const { headers } = get(
      ...["Cookie: a", "cookie: b", "Set-Cookie: c", "set-cookie: d", "ACCEPT: e", "accept: f"],
      ...["Authorization: g", "authorization: h", "Content-Type: i", "content-type: j"],
    );
    expect(headers).toMatchObject({
      cookie: "a; b",
      "set-cookie": ["c", "d"],
      accept: "e, f",
      authorization: "g",
      "content-type": "i",
    });
  });

  it("finds nothing in it that nobody sent", () => {
    const { headers } = get();
    for (const name of ["constructor", "toString", "__proto__", "hasOwnProperty"]) {
      expect(headers[name]).toBeUndefined();
    }
    expect(Object.entries(get("__proto__: x").headers)).toContainEqual(["__proto__", "x"]);
  });

  const targets: Array<[string, string]> = [
    ["OPTIONS", "*"],
    ["GET", "http://weir:80/a"],
    ["GET", "HTTPS://[::1]"],
    ["POST", "//a"],
    ["GET", "/%00<>{}|^`\"'\\"],
  ];
  for (const [method, target] of targets) {
    it(`takes ${method} ${target}`, () => {
      expect(parse(`${method} ${target} HTTP/1.1`, "host: a").url).toBe(target);
    });
  }

  const lines = [
    ...["GET  / HTTP/1.1", "GET /  HTTP/1.1", " GET / HTTP/1.1", "GET\t/ HTTP/1.1", "GET /", "GET"],
    ...["GET / HTTP/1.2", "GET / HTTP/2.0", "GET / HTTP/0.9", "GET / http/1.1", "GET / HTTP/1.10"],
    ...["GET / HTTP/1.1 ", "GET HTTP/1.1", "GET  HTTP/1.1", "get / HTTP/1.1", "G@T / HTTP/1.1"],
    ...["GET a HTTP/1.1", "GET * HTTP/1.1", "GET /a b HTTP/1.1", "GET /\xe9 HTTP/1.1"],
    ...["GET /a#b HTTP/1.1", "GET ftp://a/ HTTP/1.1", "GET http:// HTTP/1.1"],
    ...["GET http://a@b/ HTTP/1.1", "PROPFIND / HTTP/1.1", "PRI * HTTP/2.0", "/ HTTP/1.1"],
    ...[" HTTP/1.1", "HTTP/1.1", "HTTP/1.1 200 OK", "GET /\t HTTP/1.1"],
  ];
  for (const line of lines) {
    it(`refuses ${JSON.stringify(line)}`, () => {
      expect(() => parse(line, "host: a")).toThrow(malformed.message);
    });
  }

  const fields = [
    ...["a : b", " a: b", "\ta: b", "a b: c", ": b", "a", "a\xe9: b", "a(b): c", "a;: b", "a/: b"],
    ...["Host: a/b", "Host: a@b", "Host: a b", "Host: \xe9", "Host: a#b"],
    ...["Content-Length: ", "Content-Length: +1", "Content-Length: -1", "Content-Length: 1.0"],
    ...[
      "Content-Length: 0x1",
      "Content-Length: 1, 1",
      "Content-Length: 1 1",
      "Content-Length: \xb2",
    ],
    ...["Content-Length: 1234567890123456", "Content-Length: 1e3"],
    ...["Transfer-Encoding: gzip", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: "],
    ...["Transfer-Encoding: chunked, chunked", "Transfer-Encoding: chunked;a=b"],
    ...[
      "Transfer-Encoding: identity",
      "Transfer-Encoding: \x0bchunked",
      "Transfer-Encoding: xchunked",
    ],
  ];
  for (const field of fields) {
    it(`refuses ${JSON.stringify(field)}`, () => {
      expect(() => parse("POST / HTTP/1.1", "x-before: a", field, "x-after: a")).toThrow();
      if (!field.startsWith("Host")) expect(() => get(field)).toThrow(malformed.message);
    });
  }

  const twice = ["Content-Length: 1", "Transfer-Encoding: chunked", "Expect: 100-continue"];
  for (const field of twice) {
    it(`refuses two fields of ${field}`, () => {
      expect(() => get(field, field.toLowerCase())).toThrow(malformed.message);
    });
  }

  it("refuses a length and chunks, in either order, and chunks in HTTP/1.0", () => {
    const [length = "", chunks = ""] = twice;
    expect(() => get(length, chunks)).toThrow(malformed.message);
    expect(() => get(chunks, length)).toThrow(malformed.message);
    expect(() => parse("GET / HTTP/1.0", chunks)).toThrow(malformed.message);
  });

  it("needs one Host, unless it is of HTTP/1.0", () => {
    expect(() => parse("GET / HTTP/1.1")).toThrow(wrongHost.message);
    for (const version of ["1.0", "1.1"]) {
      expect(() => parse(`GET / HTTP/${version}`, "Host: a", "hOST: a")).toThrow(wrongHost.message);
    }
    expect(parse("GET / HTTP/1.0").keepAlive).toBe(false);
  });

  const connections: Array<[string, string, boolean]> = [
    ["1.1", "close", false],
    ["1.1", "Keep-Alive, CLOSE", false],
    ["1.1", "upgrade", true],
    ["1.1", "closed", true],
    ["1.0", "Keep-Alive", true],
    ["1.0", "x , keep-alive", true],
    ["1.0", "x", false],
    ["1.0", "keep-alive, close", false],
  ];
  for (const [version, value, keepAlive] of connections) {
    it(`of HTTP/${version} with "connection: ${value}" ${keepAlive ? "goes on" : "is last"}`, () => {
      const head = parse(`GET / HTTP/${version}`, "Host: a", `Connection: ${value}`);
      expect(head.keepAlive).toBe(keepAlive);
    });
  }

  it("knows how the body is framed", () => {
    expect(get("Content-Length: 007").bodyBytes).toBe(7);
    expect(get("Transfer-Encoding: Chunked ").bodyBytes).toBeUndefined();
  });

  it("knows who waits to be told to go on", () => {
    const expectation = "Expect: 100-Continue";
    expect(get(expectation, "Content-Length: 5").expectsContinue).toBe(true);
    expect(get(expectation).expectsContinue).toBe(false);
    const old = parse("POST / HTTP/1.0", expectation, "Content-Length: 5");
    expect(old.expectsContinue).toBe(false);
    expect(() => get("Expect: a miracle")).toThrow(unmetExpectation.message);
  });

  it("opens no tunnel", () => {
    expect(() => parse("CONNECT a:1 HTTP/1.1", "Host: a")).toThrow(noTunnel.message);
  });

  it("has no more fields than any client would send", () => {
    const many = (count: number) => Array.from({ length: count }, (_, at) => `x-${at}: a`);
    expect(Object.keys(get(...many(255)).headers)).toHaveLength(256);
    expect(() => get(...many(256))).toThrow(headTooLarge.message);
  });

  it("judges a name alike the first time and later, when it knows thousands", () => {
    for (let round = 0; round < 2; round += 1) {
      for (let at = 0; at < 2_000; at += 1) {
        expect(get(`X-Strange-${at}: a`).headers[`x-strange-${at}`]).toBe("a");
      }
      expect(() => get("x strange: a")).toThrow(malformed.message);
    }
  });
});

describe("parseTrailers()", () => {
  it("reads fields", () => {
    expect({ ...parseTrailers("X-Late: 1\r\nx-late: 2\r\n") }).toEqual({ "x-late": "1, 2" });
  });

  for (const name of ["Content-Length", "transfer-encoding", "Host", "connection", "expect"]) {
    it(`refuses ${name}, which comes too late`, () => {
      expect(() => parseTrailers(`${name}: 1\r\n`)).toThrow(malformed.message);
    });
  }
});
