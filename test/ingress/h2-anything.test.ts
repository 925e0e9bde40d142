import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ChatHandler } from "../../src/mesh/rooms.ts";
import { body, openStreet, post, streamed } from "./h2-street.ts";
import { decision, outcome, textEvent } from "./pretend-house.ts";
import {
  block,
  Code,
  Flag,
  frame,
  get,
  PREFACE,
  RawPeer,
  type Received,
  settings,
  Type,
  words,
} from "./raw-http2.ts";

const number = fc.oneof(fc.constantFrom(0, 1, 100, 65_535, 2 ** 31 - 1), fc.nat(2 ** 32 - 1));
const window = fc.oneof(fc.constantFrom(1, 100, 65_535, 1_000_000), fc.nat(100_000));
const junk = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
/** Which of the streams that were begun; most often the newest. */
const which = fc.nat(3);

/** One thing that a peer does: frames, given the newest stream's number and another's. */
type Move = (newest: number, other: number) => Buffer;
const flags = Flag.END_HEADERS;

const requests: fc.Arbitrary<Move> = fc.oneof(
  fc.constantFrom(body, streamed).map(
    (asked): Move =>
      (id) =>
        Buffer.concat([
          frame(Type.HEADERS, flags, id, block(post())),
          frame(Type.DATA, Flag.END_STREAM, id, asked),
        ]),
  ),
  fc.constant<Move>((id) => frame(Type.HEADERS, flags + Flag.END_STREAM, id, block(get))),
  fc.constant<Move>((id) => frame(Type.HEADERS, flags, id, block(post()))),
  fc.constant<Move>((id) => frame(Type.HEADERS, flags, id, block([...get, ["upgrade", "h2c"]]))),
);

const moves: fc.Arbitrary<Move> = fc.oneof(
  fc.tuple(junk, fc.constantFrom(0, 0, 1)).map(
    ([bytes, last]): Move =>
      (_, id) =>
        frame(Type.DATA, last, id, bytes),
  ),
  fc.constant<Move>((_, id) => frame(Type.HEADERS, flags + 1, id, block([["x-a", "1"]]))),
  window.map(
    (by): Move =>
      (_, id) =>
        frame(Type.WINDOW_UPDATE, 0, id, words(by)),
  ),
  window.map(
    (by): Move =>
      () =>
        frame(Type.WINDOW_UPDATE, 0, 0, words(by)),
  ),
  number.map(
    (code): Move =>
      (_, id) =>
        frame(Type.RST_STREAM, 0, id, words(code)),
  ),
  window.map(
    (size): Move =>
      () =>
        settings([4, size]),
  ),
  window.map(
    (size): Move =>
      () =>
        settings([1, size], [1, 4096], [3, size]),
  ),
  fc
    .constantFrom(
      frame(Type.SETTINGS, Flag.ACK, 0),
      frame(Type.PING, 0, 0, Buffer.alloc(8)),
      frame(0xbb, 0xff, 0, Buffer.alloc(8)),
    )
    .map(
      (bytes): Move =>
        () =>
          bytes,
    ),
);

/** What no peer may do, mostly; it ends nearly everything. */
const wrong: fc.Arbitrary<Move> = fc.oneof(
  fc.record({ type: fc.nat(11), flags: fc.nat(255), payload: junk }).map(
    (each): Move =>
      (_, id) =>
        frame(each.type, each.flags, id, each.payload),
  ),
  junk.map(
    (bytes): Move =>
      () =>
        bytes,
  ),
  number.map(
    (by): Move =>
      () =>
        frame(Type.WINDOW_UPDATE, 0, 0, words(by)),
  ),
  fc.constant<Move>(() => frame(Type.GOAWAY, 0, 0, words(0, 0))),
);

const step = fc.oneof(
  { arbitrary: fc.tuple(requests, fc.constant(true), which), weight: 10 },
  { arbitrary: fc.tuple(moves, fc.constant(false), which), weight: 20 },
  { arbitrary: fc.tuple(wrong, fc.constant(false), which), weight: 1 },
);

/** Answers with more than a window holds, and waits for its reader. */
const talk: ChatHandler = async (_call, _ask, sink) => {
  sink.start(decision);
  for (let at = 0; at < 20; at += 1) {
    const events = () => [textEvent("x".repeat(10_000))];
    if (!sink.chunk({ wire: undefined, content: true, answer: undefined, events })) {
      await sink.ready();
    }
  }
  return outcome;
};

describe("the port, whatever a peer sends", () => {
  it("never fails by itself, and keeps nothing", async () => {
    const { door, livesOn } = await openStreet({ house: { chat: talk } });
    const steps = fc.array(step, { minLength: 1, maxLength: 30 });
    const cuts = fc.array(fc.nat(2000), { maxLength: 4 });
    const check = fc.asyncProperty(steps, cuts, async (made, at) => {
      const peer = new RawPeer(door);
      let newest = 1;
      const sent = made.map(([move, begins, back]) => {
        if (begins) newest += 2;
        return move(newest, Math.max(3, newest - 2 * back));
      });
      const bytes = Buffer.concat([PREFACE, settings(), ...sent]);
      const ends = [...at.sort((a, b) => a - b), bytes.length];
      let from = 0;
      for (const end of ends) {
        peer.socket.write(bytes.subarray(from, end));
        from = Math.min(end, bytes.length);
        await new Promise((resolve) => setImmediate(resolve));
      }
      peer.socket.end();
      await peer.closed;
      assertSound(peer.received);
    });
    await fc.assert(check, { numRuns: 100 });
    await expect.poll(() => door.port.openStreams()).toBe(0);
    await livesOn();
  });
});

/** No fault of the server's own, and nothing of a stream after its end. */
function assertSound(received: readonly Received[]): void {
  const ended = new Set<number>();
  for (const { type, flags, stream, payload } of received) {
    if (type === Type.GOAWAY || type === Type.RST_STREAM) {
      const code = payload.readUInt32BE(type === Type.GOAWAY ? 4 : 0);
      expect([Code.INTERNAL_ERROR, Code.ENHANCE_YOUR_CALM]).not.toContain(code);
    } else if (type === Type.HEADERS || type === Type.DATA) {
      expect(ended).not.toContain(stream);
      expect(payload.length).toBeLessThanOrEqual(16_384);
      if ((flags & Flag.END_STREAM) !== 0) ended.add(stream);
    }
    if (type === Type.RST_STREAM) ended.add(stream);
  }
}
