import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Frame, FrameReader, type FrameTaker } from "./frame-reader.ts";
import { ConnectionError, ErrorCode } from "./frames.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

interface Seen {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: string;
}

class Collector implements FrameTaker {
  readonly done = false;
  readonly seen: Seen[] = [];

  takeFrame({ type, flags, stream, bytes, start, end }: Frame): void {
    this.seen.push({ type, flags, stream, payload: bytes.toString("hex", start, end) });
  }
}

function encode({ type, flags, stream, payload }: Seen): Buffer {
  const body = Buffer.from(payload, "hex");
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

const arbitraryFrame: fc.Arbitrary<Seen> = fc.record({
  type: fc.nat(255),
  flags: fc.nat(255),
  stream: fc.nat(2 ** 31 - 1),
  payload: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString("hex")),
});

describe("FrameReader.read()", () => {
  it("finds the same frames wherever the network cuts them", () => {
    const cuts = fc.array(fc.nat(400), { maxLength: 30 });
    fc.assert(
      fc.property(fc.array(arbitraryFrame, { maxLength: 8 }), cuts, (frames, places) => {
        const bytes = Buffer.concat([PREFACE, ...frames.map(encode)]);
        const collector = new Collector();
        const reader = new FrameReader(collector);
        const ends = [...places, bytes.length].filter((at) => at <= bytes.length);
        let from = 0;
        for (const end of ends.toSorted((a, b) => a - b)) {
          reader.read(bytes.subarray(from, end));
          from = end;
        }
        expect(collector.seen).toEqual(frames);
        expect(reader.atRest).toBe(true);
      }),
    );
  });

  it("is not at rest in the middle of a frame", () => {
    const reader = new FrameReader(new Collector());
    reader.read(Buffer.concat([PREFACE, Buffer.alloc(5)]));
    expect(reader.atRest).toBe(false);
  });

  it("refuses a frame that is too long by its head", () => {
    const head = Buffer.from([0, 0x40, 1, 0, 0, 0, 0, 0, 1]);
    for (const pieces of [[head], [head.subarray(0, 4), head.subarray(4)]]) {
      const reader = new FrameReader(new Collector());
      reader.read(PREFACE);
      expect(codeOf(() => pieces.forEach((piece) => void reader.read(piece)))).toBe(
        ErrorCode.FRAME_SIZE_ERROR,
      );
    }
  });

  it("refuses whatever is not the preface", () => {
    for (const text of ["PRJ", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", "GET / HTTP/1.1\r\n"]) {
      const reader = new FrameReader(new Collector());
      expect(codeOf(() => reader.read(Buffer.from(text)))).toBe(ErrorCode.PROTOCOL_ERROR);
    }
  });

  it("stops when its taker wants no more", () => {
    const seen: number[] = [];
    const taker = {
      done: false,
      takeFrame: ({ type }: Frame) => {
        seen.push(type);
        taker.done = true;
      },
    };
    const frames = [1, 2].map((type) => encode({ type, flags: 0, stream: 0, payload: "" }));
    new FrameReader(taker).read(Buffer.concat([PREFACE, ...frames]));
    expect(seen).toEqual([1]);
  });
});

function codeOf(run: () => void): ErrorCode | undefined {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof ConnectionError) return thrown.code;
  }
  return undefined;
}
