import { describe, expect, it } from "vitest";
import type { ChatHandler } from "../../src/mesh/rooms.ts";
import { ask, body, createFlood, data, head, open, openStreet, ping, post } from "./h2-street.ts";
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

describe("an odd peer that is in its right", () => {
  it("sends everything byte by byte", async () => {
    const { door } = await openStreet();
    const peer = new RawPeer(door);
    const bytes = Buffer.concat([
      ...[PREFACE, settings([4, 1000]), open(1)],
      ...[data(1, body.subarray(0, 5)), data(1, body.subarray(5), Flag.END_STREAM), ping],
      frame(Type.HEADERS, Flag.END_STREAM, 3, head.subarray(0, 3)),
      frame(Type.CONTINUATION, Flag.END_HEADERS, 3, head.subarray(3)),
    ]);
    await new Promise((resolve) => peer.socket.once("connect", resolve));
    for (const byte of bytes) {
      peer.send(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await peer.status(1)).toBe("200");
    expect(await peer.status(3)).toBe("200");
  });

  it("takes everything byte by byte", async () => {
    const { door } = await openStreet();
    const peer = RawPeer.greet(door, [4, 0]);
    peer.send(headers(1, get));
    expect(await peer.status(1)).toBe("200");
    const isEnd = () =>
      peer.received.some((each) => each.stream === 1 && (each.flags & Flag.END_STREAM) !== 0);
    while (!isEnd()) {
      peer.send(frame(Type.WINDOW_UPDATE, 0, 1, words(1)));
      await peer.settled();
    }
    const lengths = peer.received.filter((each) => each.type === Type.DATA);
    expect(lengths.every((each) => each.payload.length <= 1)).toBe(true);
  });

  it("says GOAWAY in the middle of an answer, and gets its rest", async () => {
    const { door } = await openStreet({ house: { chat: createFlood([]) } });
    const peer = RawPeer.greet(door, [4, 0]);
    ask(peer, 1);
    expect(await peer.status(1)).toBe("200");
    peer.send(frame(Type.GOAWAY, 0, 0, words(0, 0)));
    peer.send(frame(Type.WINDOW_UPDATE, 0, 0, words(2 ** 30)), settings([4, 2 ** 30]));
    await peer.find((each) => each.stream === 1 && (each.flags & Flag.END_STREAM) !== 0);
    expect(peer.bodyBytes(1)).toBeGreaterThan(160 * 64 * 1024);
    await peer.closed;
  });

  it("resets a stream in the middle of its answer, whose work then ends", async () => {
    const cancelled = Promise.withResolvers<void>();
    const flood = createFlood([]);
    const chat: ChatHandler = (call, ...rest) => {
      call.cancellation.onCancel(() => cancelled.resolve());
      return flood(call, ...rest);
    };
    const { door, livesOn } = await openStreet({ house: { chat } });
    const peer = RawPeer.greet(door);
    ask(peer, 1);
    await peer.find((each) => each.type === Type.DATA);
    peer.send(frame(Type.RST_STREAM, 0, 1, words(Code.CANCEL)));
    await cancelled.promise;
    // What the answer has taken of the connection's window is gone.
    peer.send(frame(Type.WINDOW_UPDATE, 0, 0, words(2 ** 20)), headers(3, get));
    expect(await peer.status(3)).toBe("200");
    await livesOn();
    await expect.poll(() => door.port.openStreams()).toBe(0);
  });

  it("hangs up in the middle of its answers", async () => {
    const { door, livesOn } = await openStreet({ house: { chat: createFlood([]) } });
    const peer = RawPeer.greet(door);
    for (let at = 0; at < 20; at += 1) ask(peer, 1 + 2 * at);
    await peer.find((each) => each.type === Type.DATA);
    peer.socket.resetAndDestroy();
    await expect.poll(() => door.port.openStreams()).toBe(0);
    await livesOn();
  });

  it("skips numbers, pads everything, sends priorities and frames nobody knows", async () => {
    const { door } = await openStreet();
    const peer = RawPeer.greet(door, [0xbabe, 7], [3, 0], [6, 1]);
    const padded = (bytes: Buffer) => Buffer.concat([Buffer.of(200), bytes, Buffer.alloc(200)]);
    const priority = Buffer.concat([words(0x8000_0009), Buffer.of(255)]);
    peer.send(
      frame(Type.PRIORITY, 0, 1001, priority),
      frame(0x10, 0xff, 7, Buffer.alloc(100)),
      frame(
        Type.HEADERS,
        Flag.END_HEADERS + Flag.PADDED + Flag.PRIORITY + 0x52,
        1001,
        padded(Buffer.concat([priority, block(post())])),
      ),
      data(1001, padded(body.subarray(0, 9)), Flag.PADDED),
      data(1001, padded(body.subarray(9)), Flag.PADDED + Flag.END_STREAM),
    );
    expect(await peer.status(1001)).toBe("200");
  });

  it("gives its table no room, and then all of it", async () => {
    const { door } = await openStreet();
    const peer = RawPeer.greet(door, [1, 0]);
    for (let stream = 1; stream < 9; stream += 2) {
      peer.send(headers(stream, get));
      expect(await peer.status(stream)).toBe("200");
      peer.send(settings([1, stream * 40]), settings([1, 4096 - stream]));
    }
  });
});
