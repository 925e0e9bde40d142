import { describe, expect, it } from "vitest";
import {
  data,
  END,
  empty,
  head,
  open,
  openStreet,
  ping,
  post,
  statusOfStranger,
  times,
} from "./h2-street.ts";
import { openDoor } from "./open-door.ts";
import {
  block,
  Code,
  Flag,
  frame,
  get,
  headers,
  PREFACE,
  RawPeer,
  settings,
  Type,
  words,
} from "./raw-http2.ts";

describe("what ends a connection, and only that one", () => {
  const attacks: Array<[string, number, Buffer]> = [
    [
      "CONTINUATION without end",
      Code.ENHANCE_YOUR_CALM,
      Buffer.concat([
        frame(Type.HEADERS, 0, 1, head),
        times(200, () => frame(Type.CONTINUATION, 0, 1, block([["x-a", "a".repeat(1000)]]))),
      ]),
    ],
    [
      "empty CONTINUATION without end",
      Code.ENHANCE_YOUR_CALM,
      Buffer.concat([
        frame(Type.HEADERS, 0, 1, head),
        times(20_000, () => frame(Type.CONTINUATION, 0, 1)),
      ]),
    ],
    [
      "a reset for each of 2,000 streams",
      Code.ENHANCE_YOUR_CALM,
      times(2000, (at) =>
        Buffer.concat([open(1 + 2 * at), frame(Type.RST_STREAM, 0, 1 + 2 * at, words(8))]),
      ),
    ],
    [
      "2,000 streams that have to be reset",
      Code.ENHANCE_YOUR_CALM,
      times(2000, (at) => headers(1 + 2 * at, [...get, ["connection", "close"]])),
    ],
    [
      "2,000 streams whose window is opened by nothing",
      Code.ENHANCE_YOUR_CALM,
      times(2000, (at) =>
        Buffer.concat([open(1 + 2 * at), frame(Type.WINDOW_UPDATE, 0, 1 + 2 * at, words(0))]),
      ),
    ],
    ["a flood of pings", Code.ENHANCE_YOUR_CALM, times(100_000, () => ping)],
    ["a flood of settings", Code.ENHANCE_YOUR_CALM, times(100_000, () => settings())],
    [
      "a flood of settings in few frames, with streams that each concerns",
      Code.ENHANCE_YOUR_CALM,
      Buffer.concat([
        times(500, (at) => open(1 + 2 * at)),
        times(20, () => settings(...Array.from({ length: 2_700 }, (_, at) => [4, at] as const))),
      ]),
    ],
    [
      "a flood of acknowledged settings",
      Code.ENHANCE_YOUR_CALM,
      times(100_000, () => frame(Type.SETTINGS, Flag.ACK, 0)),
    ],
    [
      "a flood of empty data",
      Code.ENHANCE_YOUR_CALM,
      Buffer.concat([open(1), times(100_000, () => data(1, empty))]),
    ],
    [
      "a flood of padding",
      Code.ENHANCE_YOUR_CALM,
      Buffer.concat([open(1), times(100_000, () => data(1, Buffer.of(0), Flag.PADDED))]),
    ],
    [
      "a flood of window updates",
      Code.ENHANCE_YOUR_CALM,
      Buffer.concat([open(1), times(100_000, () => frame(Type.WINDOW_UPDATE, 0, 1, words(1)))]),
    ],
    [
      "a flood of priorities",
      Code.ENHANCE_YOUR_CALM,
      times(100_000, (at) =>
        frame(Type.PRIORITY, 0, 3 + 2 * at, Buffer.concat([words(1), empty, Buffer.of(1)])),
      ),
    ],
    [
      "a flood of frames nobody knows",
      Code.ENHANCE_YOUR_CALM,
      times(100_000, () => frame(0xbb, 0, 0)),
    ],
    [
      "a flood of resets of a stream that is over",
      Code.ENHANCE_YOUR_CALM,
      Buffer.concat([open(1), times(100_000, () => frame(Type.RST_STREAM, 0, 1, words(8)))]),
    ],
    [
      "Huffman code that is garbage",
      Code.COMPRESSION_ERROR,
      frame(Type.HEADERS, END, 1, Buffer.from(`0084ffffffff${"00"}`, "hex")),
    ],
    ["no HPACK", Code.COMPRESSION_ERROR, frame(Type.HEADERS, END, 1, Buffer.alloc(64, 0xff))],
    [
      "a table that is larger than allowed",
      Code.COMPRESSION_ERROR,
      frame(Type.HEADERS, END, 1, Buffer.from("3fe21f82868441016100", "hex")),
    ],
    [
      "garbage in the block of a stream that is refused",
      Code.COMPRESSION_ERROR,
      Buffer.concat([
        times(1000, (at) => open(1 + 2 * at)),
        frame(Type.HEADERS, END, 2001, Buffer.alloc(64, 0xff)),
      ]),
    ],
    [
      "a connection window that overflows",
      Code.FLOW_CONTROL_ERROR,
      times(2, () => frame(Type.WINDOW_UPDATE, 0, 0, words(2 ** 31 - 1))),
    ],
    [
      "an initial window that overflows",
      Code.FLOW_CONTROL_ERROR,
      Buffer.concat([
        open(1),
        frame(Type.WINDOW_UPDATE, 0, 1, words(2 ** 31 - 1 - 65_535)),
        settings([4, 65_536]),
      ]),
    ],
    ["an initial window beyond all windows", Code.FLOW_CONTROL_ERROR, settings([4, 2 ** 31])],
    [
      "a window of the connection opened by nothing",
      Code.PROTOCOL_ERROR,
      frame(Type.WINDOW_UPDATE, 0, 0, words(0)),
    ],
    ["data for no stream", Code.PROTOCOL_ERROR, data(5, Buffer.from("x"))],
    ["data for stream 0", Code.PROTOCOL_ERROR, data(0, Buffer.from("x"))],
    ["a reset of no stream", Code.PROTOCOL_ERROR, frame(Type.RST_STREAM, 0, 5, words(8))],
    ["a window of no stream", Code.PROTOCOL_ERROR, frame(Type.WINDOW_UPDATE, 0, 5, words(8))],
    [
      "a stream's number that goes down",
      Code.PROTOCOL_ERROR,
      Buffer.concat([headers(5, get), headers(3, get)]),
    ],
    ["a stream with an even number", Code.PROTOCOL_ERROR, headers(2, get)],
    ["headers for stream 0", Code.PROTOCOL_ERROR, headers(0, get)],
    ["a push by a client", Code.PROTOCOL_ERROR, frame(Type.PUSH_PROMISE, 4, 1, words(2))],
    [
      "a stream that needs itself",
      Code.PROTOCOL_ERROR,
      frame(Type.HEADERS, END + Flag.PRIORITY, 1, Buffer.concat([words(1), Buffer.of(1), head])),
    ],
    [
      "another frame in the middle of headers",
      Code.PROTOCOL_ERROR,
      Buffer.concat([frame(Type.HEADERS, 0, 1, head), ping]),
    ],
    [
      "another stream's CONTINUATION",
      Code.PROTOCOL_ERROR,
      Buffer.concat([frame(Type.HEADERS, 0, 1, head), frame(Type.CONTINUATION, 4, 3)]),
    ],
    ["CONTINUATION of nothing", Code.PROTOCOL_ERROR, frame(Type.CONTINUATION, 4, 1, head)],
    [
      "padding that is longer than its frame",
      Code.PROTOCOL_ERROR,
      frame(Type.HEADERS, END + Flag.PADDED, 1, Buffer.concat([Buffer.of(255), head])),
    ],
    [
      "headers that are nothing but padding's length",
      Code.PROTOCOL_ERROR,
      frame(Type.HEADERS, END + Flag.PADDED, 1),
    ],
    ["a frame of 16 MB", Code.FRAME_SIZE_ERROR, Buffer.from("ffffff000000000001", "hex")],
    ["a frame of 16,385 bytes", Code.FRAME_SIZE_ERROR, data(1, Buffer.alloc(16_385))],
    ["a ping of seven bytes", Code.FRAME_SIZE_ERROR, frame(Type.PING, 0, 0, Buffer.alloc(7))],
    ["settings of five bytes", Code.FRAME_SIZE_ERROR, frame(Type.SETTINGS, 0, 0, Buffer.alloc(5))],
    ["settings of a stream", Code.PROTOCOL_ERROR, frame(Type.SETTINGS, 0, 1)],
    ["a frame size below the least", Code.PROTOCOL_ERROR, settings([5, 16_383])],
    [
      "headers after their stream is closed",
      Code.STREAM_CLOSED,
      Buffer.concat([
        headers(1, post(), Flag.END_HEADERS),
        frame(Type.RST_STREAM, 0, 1, words(8)),
        headers(1, get),
      ]),
    ],
  ];
  for (const [name, code, bytes] of attacks) {
    it(`is ${name}`, async () => {
      const { door, livesOn } = await openStreet();
      const attacker = RawPeer.greet(door);
      attacker.send(bytes);
      expect(await attacker.goaway()).toBe(code);
      await livesOn();
      await expect.poll(() => door.port.openStreams()).toBe(0);
    });
  }

  it("is a first frame that is not settings", async () => {
    const { door, livesOn } = await openStreet();
    const attacker = new RawPeer(door);
    attacker.send(PREFACE, headers(1, get));
    expect(await attacker.goaway()).toBe(Code.PROTOCOL_ERROR);
    await livesOn();
  });

  it("is a preface that goes wrong late", async () => {
    const { door, livesOn } = await openStreet();
    const attacker = new RawPeer(door);
    attacker.send(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"), settings(), headers(1, get));
    expect(await attacker.goaway()).toBe(Code.PROTOCOL_ERROR);
    await livesOn();
  });

  it("is a flood of pings whose answers nobody reads", async () => {
    const { door, livesOn } = await openStreet();
    const attacker = RawPeer.greet(door);
    attacker.socket.pause();
    const failed = new Promise((resolve) => attacker.socket.once("error", resolve));
    const flood = times(20_000, () => ping);
    const timer = setInterval(() => attacker.send(flood), 50);
    await failed;
    clearInterval(timer);
    await livesOn();
  });

  const silences: Array<[string, Buffer[]]> = [
    ["half a preface", [PREFACE.subarray(0, 12)]],
    ["a preface and no settings", [PREFACE]],
    ["half a frame", [PREFACE, settings(), headers(1, get).subarray(0, 20)]],
    ["half a frame's head", [PREFACE, settings(), headers(1, get).subarray(0, 5)]],
    ["half a header block", [PREFACE, settings(), frame(Type.HEADERS, 0, 1, head)]],
  ];
  for (const [name, pieces] of silences) {
    it(`is ${name}, and then nothing`, async () => {
      const timeouts = { firstByteMs: 60, headersMs: 60 };
      const door = await openDoor({ timeouts });
      const attacker = new RawPeer(door);
      attacker.send(...pieces);
      await attacker.closed;
      // On a busy machine an honest peer may be too slow for so short a time, too.
      await expect.poll(() => statusOfStranger(door).catch(() => "none")).toBe("200");
    });
  }
});
