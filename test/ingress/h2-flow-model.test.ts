import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ChatHandler } from "../../src/mesh/rooms.ts";
import { ask, openStreet } from "./h2-street.ts";
import { decision, outcome, textEvent } from "./pretend-house.ts";
import { Flag, frame, RawPeer, settings, Type, words } from "./raw-http2.ts";

const PIECES = 12;
const STREAMS = [1, 3, 5];

/** Answers of about 100 KB, whose pieces can be told apart. */
const talk: ChatHandler = async (_call, _ask, sink) => {
  sink.start(decision);
  for (let at = 0; at < PIECES; at += 1) {
    const events = () => [textEvent(`<${at}>${"x".repeat(700 * at)}`)];
    if (!sink.chunk({ wire: undefined, content: true, answer: undefined, events })) {
      await sink.ready();
    }
  }
  return outcome;
};

/** What a peer knows of the windows that it has opened. */
class Ledger {
  readonly #peer: RawPeer;
  #read = 0;
  /** Of the connection, by 0, and of each stream. */
  readonly #windows = new Map<number, number>([[0, 65_535]]);
  #initial: number;

  constructor(peer: RawPeer, initial: number) {
    this.#peer = peer;
    this.#initial = initial;
    for (const stream of STREAMS) this.#windows.set(stream, initial);
  }

  open(stream: number, bytes: number): void {
    this.#peer.send(frame(Type.WINDOW_UPDATE, 0, stream, words(bytes)));
    this.#add(stream, bytes);
  }

  /** A window that shrinks does so once the server knows of it. */
  async resize(initial: number): Promise<void> {
    const more = initial - this.#initial;
    this.#initial = initial;
    this.#peer.send(settings([4, initial]));
    if (more > 0) for (const stream of STREAMS) this.#add(stream, more);
    await this.settle();
    if (more < 0) for (const stream of STREAMS) this.#add(stream, more);
  }

  /** Books what has come, none of which may be more than a window had. */
  async settle(): Promise<void> {
    await this.#peer.settled();
    for (; this.#read < this.#peer.received.length; this.#read += 1) {
      const frame = this.#peer.received[this.#read];
      if (frame?.type !== Type.DATA || frame.payload.length === 0) continue;
      for (const each of [0, frame.stream]) {
        this.#add(each, -frame.payload.length);
        expect(this.#windows.get(each)).toBeGreaterThanOrEqual(0);
      }
    }
  }

  #add(stream: number, bytes: number): void {
    this.#windows.set(stream, (this.#windows.get(stream) ?? 0) + bytes);
  }
}

const size = fc.oneof(fc.constantFrom(0, 1, 16_384, 16_385), fc.nat(30_000));
const move = fc.oneof(
  fc.record({ stream: fc.constantFrom(0, ...STREAMS), bytes: fc.integer({ min: 1, max: 20_000 }) }),
  size,
);

describe("the windows of a peer", () => {
  it("bound each answer, and change nothing of it, however they open and shrink", async () => {
    const { door } = await openStreet({ house: { chat: talk } });
    const check = fc.asyncProperty(
      size,
      fc.array(move, { maxLength: 10 }),
      async (first, moves) => {
        const peer = RawPeer.greet(door, [4, first]);
        const ledger = new Ledger(peer, first);
        for (const stream of STREAMS) ask(peer, stream);
        for (const each of moves) {
          if (typeof each === "number") await ledger.resize(each);
          else ledger.open(each.stream, each.bytes);
          await ledger.settle();
        }
        await ledger.resize(2 ** 20);
        for (const stream of [0, ...STREAMS]) ledger.open(stream, 2 ** 20);
        for (const stream of STREAMS) {
          await peer.find((each) => each.stream === stream && (each.flags & Flag.END_STREAM) !== 0);
          expect(listPieces(peer, stream)).toEqual(Array.from({ length: PIECES }, (_, at) => at));
        }
        await ledger.settle();
        peer.socket.destroy();
      },
    );
    await fc.assert(check, { numRuns: 30 });
  });
});

/** The numbers of the pieces that a stream's answer is made of. */
function listPieces(peer: RawPeer, stream: number): number[] {
  const isData = (each: { type: number; stream: number }) =>
    each.type === Type.DATA && each.stream === stream;
  const text = Buffer.concat(peer.received.filter(isData).map((each) => each.payload)).toString();
  const pieces = [...text.matchAll(/<(\d+)>(x*)/g)];
  return pieces
    .filter(([, at, tail]) => tail?.length === 700 * Number(at))
    .map(([, at]) => Number(at));
}
