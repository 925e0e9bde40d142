import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { H2Stream, type StreamOwner } from "./h2-stream.ts";
import { StreamTable } from "./stream-table.ts";

const owner: StreamOwner = {
  encrypted: false,
  sendHeaders: () => {},
  sendData: () => true,
  sendEnd: () => {},
  sendReset: () => {},
  finished: () => {},
  consumed: () => {},
};

describe("StreamTable", () => {
  it("finds what a Map finds, whatever comes and goes", () => {
    const id = fc.nat(60).map((at) => at * 2 + 1);
    const step = fc.record({ id, adds: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const table = new StreamTable();
        const expected = new Map<number, H2Stream>();
        for (const { id, adds } of steps) {
          if (!adds) {
            table.remove(id);
            expected.delete(id);
          } else if (!expected.has(id)) {
            const stream = new H2Stream(id, owner, 0);
            table.add(stream);
            expected.set(id, stream);
          }
        }
        expect(table.size).toBe(expected.size);
        expect(new Set(table.list())).toEqual(new Set(expected.values()));
        for (let at = 1; at <= 121; at += 2) expect(table.get(at)).toBe(expected.get(at));
      }),
    );
  });

  it("stays as small as its streams are few", () => {
    const table = new StreamTable();
    for (let id = 1; id < 20_000; id += 2) {
      table.add(new H2Stream(id, owner, 0));
      if (id > 5) table.remove(id - 4);
    }
    expect(
      table
        .list()
        .map((stream) => stream.id)
        .toSorted((a, b) => a - b),
    ).toEqual([1, 19_997, 19_999]);
  });
});
