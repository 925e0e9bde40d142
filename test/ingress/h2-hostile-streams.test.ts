import { describe, expect, it } from "vitest";
import {
  body,
  bomb,
  data,
  END,
  head,
  large,
  open,
  openStreet,
  post,
  silent,
  times,
} from "./h2-street.ts";
import {
  block,
  Code,
  type Fields,
  Flag,
  frame,
  get,
  headers,
  RawPeer,
  Type,
  words,
} from "./raw-http2.ts";

describe("what breaks a stream, and only that one", () => {
  const trailers = (fields: Fields, flags = END) =>
    Buffer.concat([open(1), data(1, body), headers(1, fields, flags)]);
  const faults: Array<[string, number, Buffer]> = [
    ["an upper-case name", Code.PROTOCOL_ERROR, headers(1, [...get, ["X-A", "1"]])],
    ["connection: close", Code.PROTOCOL_ERROR, headers(1, [...get, ["connection", "close"]])],
    ["te: gzip", Code.PROTOCOL_ERROR, headers(1, [...get, ["te", "gzip"]])],
    ["a line break in a value", Code.PROTOCOL_ERROR, headers(1, [...get, ["x-a", "a\r\nb: c"]])],
    ["no path", Code.PROTOCOL_ERROR, headers(1, get.slice(0, 2))],
    ["two paths", Code.PROTOCOL_ERROR, headers(1, [...get, [":path", "/"]])],
    ["trailers with a pseudo field", Code.PROTOCOL_ERROR, trailers([[":path", "/"]])],
    ["trailers that are no end", Code.PROTOCOL_ERROR, trailers([["x-a", "1"]], Flag.END_HEADERS)],
    ["trailers about the connection", Code.PROTOCOL_ERROR, trailers([["upgrade", "h2c"]])],
    [
      "trailers that are too large",
      Code.PROTOCOL_ERROR,
      Buffer.concat([open(1), data(1, body), frame(Type.HEADERS, END, 1, bomb)]),
    ],
    [
      "a body that is shorter than told",
      Code.PROTOCOL_ERROR,
      Buffer.concat([
        headers(1, post(["content-length", "1000"]), Flag.END_HEADERS),
        data(1, body, Flag.END_STREAM),
      ]),
    ],
    [
      "a body that is longer than told",
      Code.PROTOCOL_ERROR,
      Buffer.concat([
        headers(1, post(["content-length", "3"]), Flag.END_HEADERS),
        data(1, body, Flag.END_STREAM),
      ]),
    ],
    [
      "a body that trailers cut short",
      Code.PROTOCOL_ERROR,
      Buffer.concat([
        headers(1, post(["content-length", "3"]), Flag.END_HEADERS),
        headers(1, [["x-a", "1"]]),
      ]),
    ],
    ["a length and no body", Code.PROTOCOL_ERROR, headers(1, post(["content-length", "3"]))],
    ["a length that is none", Code.PROTOCOL_ERROR, headers(1, post(["content-length", "0x3"]))],
    [
      "two lengths",
      Code.PROTOCOL_ERROR,
      headers(1, post(["content-length", "0"], ["content-length", "1"])),
    ],
    [
      "a window that overflows",
      Code.FLOW_CONTROL_ERROR,
      Buffer.concat([open(1), frame(Type.WINDOW_UPDATE, 0, 1, words(2 ** 31 - 1))]),
    ],
    [
      "a window opened by nothing",
      Code.PROTOCOL_ERROR,
      Buffer.concat([open(1), frame(Type.WINDOW_UPDATE, 0, 1, words(0))]),
    ],
  ];
  for (const [name, code, bytes] of faults) {
    it(`is ${name}`, async () => {
      const { door, livesOn } = await openStreet();
      const attacker = RawPeer.greet(door);
      attacker.send(bytes, headers(3, get));
      expect(await attacker.reset(1)).toBe(code);
      expect(await attacker.status(3)).toBe("200");
      await livesOn();
      await expect.poll(() => door.port.openStreams()).toBe(0);
    });
  }

  it("is a large field named again and again, which is refused with 431", async () => {
    const { door, livesOn } = await openStreet();
    const attacker = RawPeer.greet(door);
    const block = Buffer.concat([head, bomb]);
    attacker.send(frame(Type.HEADERS, END, 1, block), frame(Type.HEADERS, END, 3, head));
    expect(await attacker.status(1)).toBe("431");
    expect(await attacker.status(3)).toBe("200");
    await livesOn();
  });

  it("is a header list that is too large, and what its table learned stays right", async () => {
    const { door } = await openStreet();
    const attacker = RawPeer.greet(door);
    const many = block(new Array(9).fill(large[0]));
    const adds = Buffer.concat([Buffer.of(0x44, 8), Buffer.from("/healthz")]);
    const blocks = Buffer.concat([Buffer.from("8286", "hex"), adds, many]);
    attacker.send(
      frame(Type.HEADERS, Flag.END_STREAM, 1, blocks.subarray(0, 16_000)),
      frame(Type.CONTINUATION, 0, 1, blocks.subarray(16_000, 32_000)),
      frame(Type.CONTINUATION, Flag.END_HEADERS, 1, blocks.subarray(32_000)),
      frame(Type.HEADERS, END, 3, Buffer.from("8286be", "hex")),
    );
    expect(await attacker.status(1)).toBe("431");
    expect(await attacker.status(3)).toBe("200");
  });

  it("is the stream beyond a thousand", async () => {
    const { door, livesOn } = await openStreet();
    const attacker = RawPeer.greet(door);
    attacker.send(times(1001, (at) => open(1 + 2 * at)));
    expect(await attacker.reset(2001)).toBe(Code.REFUSED_STREAM);
    expect(door.port.openStreams()).toBe(1000);
    await livesOn();
    attacker.send(frame(Type.RST_STREAM, 0, 1, words(8)), headers(2003, get));
    expect(await attacker.status(2003)).toBe("200");
  });

  it("is headers after the request's end", async () => {
    const { door, livesOn } = await openStreet({ house: { chat: silent } });
    const attacker = RawPeer.greet(door);
    attacker.send(open(1), data(1, body, Flag.END_STREAM), headers(1, [["x-a", "1"]]));
    expect(await attacker.reset(1)).toBe(Code.STREAM_CLOSED);
    attacker.send(headers(3, get));
    expect(await attacker.status(3)).toBe("200");
    await livesOn();
  });

  it("is data after the request's end", async () => {
    const { door, livesOn } = await openStreet({ house: { chat: silent } });
    const attacker = RawPeer.greet(door);
    attacker.send(open(1), data(1, body, Flag.END_STREAM), data(1, body), headers(3, get));
    expect(await attacker.reset(1)).toBe(Code.STREAM_CLOSED);
    expect(await attacker.status(3)).toBe("200");
    await livesOn();
  });
});
