import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readFrames, SseFramer, writeFrame } from "./sse.ts";

function listEvents(frames: Buffer): string[][] {
  const events: string[][] = [];
  readFrames(frames, (event, data) => events.push([event, data]));
  return events;
}

/** Cuts at the given places, in any order and as often as they come. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const to of [...sorted, bytes.length]) {
    pieces.push(bytes.subarray(from, to));
    from = to;
  }
  return pieces;
}

describe("SseFramer", () => {
  it("hands on what ends in a blank line without a copy", () => {
    const bytes = Buffer.from("data: 1\n\ndata: 2\n\n");
    expect(new SseFramer().push(bytes)).toBe(bytes);
  });

  it("keeps an unfinished frame until its end comes", () => {
    const framer = new SseFramer();
    expect(framer.push(Buffer.from("data: 1\n\ndata"))?.toString()).toBe("data: 1\n\n");
    expect(framer.push(Buffer.from(": 2"))).toBeUndefined();
    expect(framer.push(Buffer.from("\n"))).toBeUndefined();
    expect(framer.rest().toString()).toBe("data: 2\n");
    expect(framer.push(Buffer.from("\n"))?.toString()).toBe("data: 2\n\n");
    expect(framer.rest().length).toBe(0);
  });

  it("refuses a frame that never ends", () => {
    const framer = new SseFramer(10);
    expect(framer.push(Buffer.from("data: 1"))).toBeUndefined();
    expect(() => framer.push(Buffer.from("2345"))).toThrow("without an end");
  });

  it("has nothing left after a stream with CR LF that is split inside its last blank line", () => {
    const framer = new SseFramer();
    expect(framer.push(Buffer.from("data: 1\r\n\r"))).toBeUndefined();
    expect(framer.push(Buffer.from("\n"))?.toString()).toBe("data: 1\r\n\r\n");
    expect(framer.rest().length).toBe(0);
  });

  it("gives the same events however a stream is split", () => {
    const line = fc.constantFrom(
      "data: é漢😀",
      "data:x",
      "data",
      ": hi",
      "event: ping",
      "id: 1",
      "dataset: no",
    );
    const frame = fc.array(line, { minLength: 1, maxLength: 3 });
    const streams = fc.array(frame, { maxLength: 6 });
    const ends = fc.constantFrom("\n", "\r\n", "\r");
    fc.assert(
      fc.property(streams, ends, fc.array(fc.nat(), { maxLength: 12 }), (parts, end, places) => {
        const text = parts.map((lines) => lines.map((l) => l + end).join("") + end).join("");
        const whole = Buffer.from(text);
        const framer = new SseFramer();
        const runs: Buffer[] = [];
        for (const piece of cut(whole, places)) {
          const run = framer.push(piece);
          if (run !== undefined) runs.push(run);
        }
        expect(Buffer.concat(runs).toString()).toBe(text);
        expect(framer.rest().length).toBe(0);
        expect(runs.flatMap(listEvents)).toEqual(listEvents(whole));
      }),
    );
  });
});

describe("readFrames()", () => {
  const cases: Array<[string, string[][]]> = [
    ["data: a\n\n", [["message", "a"]]],
    ["data:a\n\n", [["message", "a"]]],
    ["data:  a\n\n", [["message", " a"]]],
    ["data: a\ndata: b\n\n", [["message", "a\nb"]]],
    ["data\n\n", [["message", ""]]],
    ["data:\n\n", [["message", ""]]],
    ["data: \n\n", [["message", ""]]],
    [
      "event: x\ndata: a\n\ndata: b\n\n",
      [
        ["x", "a"],
        ["message", "b"],
      ],
    ],
    ["event: x\n\ndata: b\n\n", [["message", "b"]]],
    [": comment\n\n", []],
    ["\ufeffdata: a\r\n\r\n", [["message", "a"]]],
    [
      "data: a\r\rdata: b\r\r",
      [
        ["message", "a"],
        ["message", "b"],
      ],
    ],
    ["id: 3\nretry: 10\ndata: a\n\n", [["message", "a"]]],
  ];
  for (const [text, events] of cases) {
    it(`reads ${JSON.stringify(text)}`, () => {
      expect(listEvents(Buffer.from(text))).toEqual(events);
    });
  }
});

describe("writeFrame()", () => {
  it("writes what readFrames() reads", () => {
    const data = fc.string().filter((text) => !text.includes("\r"));
    fc.assert(
      fc.property(data, (text) => {
        expect(listEvents(Buffer.from(writeFrame("x", text)))).toEqual([["x", text]]);
        expect(listEvents(Buffer.from(writeFrame(undefined, text)))).toEqual([["message", text]]);
      }),
    );
  });
});
