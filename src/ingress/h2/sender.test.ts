import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../mesh/virtual-clock.ts";
import { FloodGuard } from "./flood-guard.ts";
import { FlushRound } from "./flush-round.ts";
import { type FrameSocket, FrameWriter } from "./frame-writer.ts";
import { H2Stream, type StreamOwner, type StreamReceiver } from "./h2-stream.ts";
import { Sender } from "./sender.ts";

interface Sent {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** Takes everything at once, unless it is told to be full. */
class PretendSocket implements FrameSocket {
  readonly writable = true;
  writableLength = 0;
  full = false;
  #bytes = Buffer.alloc(0);

  write(bytes: Buffer): boolean {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    return !this.full;
  }

  frames(): Sent[] {
    const frames: Sent[] = [];
    for (let at = 0; at < this.#bytes.length; ) {
      const end = at + 9 + this.#bytes.readUIntBE(at, 3);
      const [type = 0, flags = 0] = this.#bytes.subarray(at + 3);
      const stream = this.#bytes.readUInt32BE(at + 5);
      frames.push({ type, flags, stream, payload: this.#bytes.subarray(at + 9, end) });
      at = end;
    }
    return frames;
  }
}

/** A sender with its streams, and what left by it. */
class Bench implements StreamOwner {
  readonly encrypted = false;
  readonly socket = new PretendSocket();
  readonly writer = new FrameWriter(this.socket, new FlushRound());
  readonly sender: Sender;
  readonly finishedIds: number[] = [];

  constructor() {
    const guard = new FloodGuard(new VirtualClock());
    this.sender = new Sender(this.writer, guard, (stream) => this.finished(stream));
  }

  open(id: number): H2Stream {
    return new H2Stream(id, this, this.sender.streamWindow);
  }

  sendHeaders(): void {}
  sendReset(): void {}
  consumed(): void {}

  sendData(stream: H2Stream, bytes: Buffer): boolean {
    return this.sender.send(stream, bytes);
  }

  sendEnd(stream: H2Stream, bytes: Buffer | undefined): void {
    this.sender.end(stream, bytes);
  }

  finished(stream: H2Stream): void {
    this.finishedIds.push(stream.id);
  }

  /** Each frame's stream and length, in the order of their leaving. */
  left(): Array<readonly [stream: number, bytes: number]> {
    this.writer.flush();
    return this.socket.frames().map(({ stream, payload }) => [stream, payload.length] as const);
  }

  bodyOf(id: number): Buffer {
    this.writer.flush();
    const frames = this.socket.frames().filter(({ type, stream }) => type === 0 && stream === id);
    return Buffer.concat(frames.map(({ payload }) => payload));
  }
}

describe("Sender", () => {
  it("sends no more than a stream's window, and the rest when it opens", () => {
    const bench = new Bench();
    const stream = bench.open(1);
    expect(stream.write(Buffer.alloc(65_536))).toBe(false);
    expect(bench.bodyOf(1).length).toBe(65_535);
    bench.sender.openConnection(100);
    expect(bench.bodyOf(1).length).toBe(65_535);
    bench.sender.openStream(stream, 100);
    expect(bench.bodyOf(1).length).toBe(65_536);
  });

  it("gives streams that wait for the connection a frame each in turn", () => {
    const bench = new Bench();
    const [first, second, third] = [bench.open(1), bench.open(3), bench.open(5)];
    for (const stream of [first, second, third]) bench.sender.openStream(stream, 100_000);
    first.write(Buffer.alloc(65_535));
    for (const stream of [first, second, third]) stream.write(Buffer.alloc(20_000));
    const before = bench.left().length;
    bench.sender.openConnection(100_000);
    expect(bench.left().slice(before)).toEqual([
      [1, 16_384],
      [3, 16_384],
      [5, 16_384],
      [1, 3_616],
      [3, 3_616],
      [5, 3_616],
    ]);
  });

  it("lets a stream without a window stand in nobody's way", () => {
    const bench = new Bench();
    bench.sender.changeStreamWindow(0, []);
    const [stuck, free] = [bench.open(1), bench.open(3)];
    stuck.write(Buffer.alloc(9));
    bench.sender.openStream(free, 9);
    expect(free.write(Buffer.alloc(9))).toBe(true);
  });

  it("tells a receiver that was told to wait when nothing waits any more", () => {
    const bench = new Bench();
    const stream = bench.open(1);
    let drains = 0;
    stream.receiver = new DrainCounter(() => drains++);
    stream.write(Buffer.alloc(65_535));
    expect(stream.write(Buffer.alloc(1))).toBe(false);
    bench.sender.openStream(stream, 1);
    expect(drains).toBe(0);
    bench.sender.openConnection(1);
    expect(drains).toBe(1);
  });

  it("holds bodies back while the socket is full", () => {
    const bench = new Bench();
    const stream = bench.open(1);
    bench.socket.full = true;
    stream.write(Buffer.from("a"));
    bench.writer.flush();
    expect(stream.write(Buffer.from("b"))).toBe(false);
    expect(bench.bodyOf(1).toString()).toBe("a");
    bench.writer.unblock();
    bench.sender.pump();
    expect(bench.bodyOf(1).toString()).toBe("ab");
  });

  it("ends a stream once, behind its last byte, and with trailers if it has any", () => {
    for (const trailers of [undefined, ["grpc-status", "0"]]) {
      for (const size of [0, 10, 70_000]) {
        const bench = new Bench();
        const stream = bench.open(1);
        stream.end(Buffer.alloc(size), trailers);
        bench.sender.openConnection(100_000);
        bench.sender.openStream(stream, 100_000);
        expect(bench.bodyOf(1).length).toBe(size);
        const ends = bench.socket.frames().map(({ flags }) => flags & 1);
        expect(ends.indexOf(1)).toBe(ends.length - 1);
        expect(bench.finishedIds).toEqual([1]);
      }
    }
  });

  it("refuses windows beyond the largest there is", () => {
    const bench = new Bench();
    const stream = bench.open(1);
    expect(bench.sender.openStream(stream, 2 ** 31 - 1)).toBe(false);
    expect(() => bench.sender.openConnection(2 ** 31 - 1)).toThrow("beyond");
    expect(() => bench.sender.changeStreamWindow(2 ** 31 - 1, [stream])).toThrow("beyond");
  });

  it("keeps within all windows, and each stream's bytes in order, whatever happens", () => {
    const size = fc.nat(40_000);
    const step = fc.oneof(
      fc.record({ kind: fc.constant("write" as const), at: fc.nat(2), size }),
      fc.record({ kind: fc.constant("open" as const), at: fc.nat(3), size }),
      fc.record({ kind: fc.constant("settings" as const), at: fc.nat(2), size }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const bench = new Bench();
        const streams = [bench.open(1), bench.open(3), bench.open(5)];
        const written = streams.map(() => Buffer.alloc(0));
        const opened = [0, 0, 0, 0];
        let initial = 65_535;
        let mayHaveSent = [65_535, 65_535, 65_535];
        for (const { kind, at, size } of steps) {
          const stream = streams[at];
          if (kind === "settings") {
            initial = size;
            bench.sender.changeStreamWindow(size, streams);
          } else if (kind === "open") {
            opened[at] = (opened[at] ?? 0) + size;
            if (stream === undefined) bench.sender.openConnection(size);
            else bench.sender.openStream(stream, size);
          } else if (stream !== undefined) {
            const bytes = Buffer.alloc(size, written[at]?.length ?? 0);
            written[at] = Buffer.concat([written[at] ?? bytes, bytes]);
            stream.write(bytes);
          }
          mayHaveSent = mayHaveSent.map((most, of) => Math.max(most, initial + (opened[of] ?? 0)));
          const sent = streams.map(({ id }) => bench.bodyOf(id));
          sent.forEach((bytes, of) => {
            expect(bytes.length).toBeLessThanOrEqual(mayHaveSent[of] ?? 0);
            expect(bytes.equals(written[of]?.subarray(0, bytes.length) ?? bytes)).toBe(true);
          });
          const total = sent.reduce((sum, bytes) => sum + bytes.length, 0);
          expect(total).toBeLessThanOrEqual(65_535 + (opened[3] ?? 0));
        }
        bench.sender.openConnection(2 ** 30);
        for (const stream of streams) bench.sender.openStream(stream, 2 ** 30);
        streams.forEach(({ id }, of) => {
          expect(bench.bodyOf(id).equals(written[of] ?? Buffer.alloc(0))).toBe(true);
        });
      }),
    );
  });
});

class DrainCounter implements StreamReceiver {
  readonly takeDrain: () => void;

  constructor(takeDrain: () => void) {
    this.takeDrain = takeDrain;
  }

  takeData(): boolean {
    return true;
  }
  takeEnd(): void {}
  takeClose(): void {}
}
