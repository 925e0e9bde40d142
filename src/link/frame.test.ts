import { create, fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { appendFrame, splitFrames } from "./frame.ts";
import { WireWriter } from "./wire-writer.ts";

const noLimits = { records: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };

function frames(ids: readonly string[]): Buffer {
  const writer = new WireWriter(16);
  for (const requestId of ids) appendFrame(writer, create(RequestRecordSchema, { requestId }));
  return Buffer.from(writer.bytes);
}

function idsOf(payloads: readonly Buffer[]): string[] {
  return payloads.map((payload) => fromBinary(RequestRecordSchema, payload).requestId);
}

const ids = fc.array(fc.string({ minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 20 });

describe("splitFrames()", () => {
  it("gives back what was framed, read in stretches of any size", () => {
    fc.assert(
      fc.property(ids, fc.integer({ min: 1, max: 400 }), (given, stretch) => {
        const bytes = frames(given);
        const found: string[] = [];
        let offset = 0;
        let size = stretch;
        while (offset < bytes.length) {
          const part = bytes.subarray(offset, offset + size);
          const split = splitFrames(part, noLimits, offset + size >= bytes.length);
          found.push(...idsOf(split.payloads));
          expect(split.damaged).toBe(0);
          offset += split.consumed;
          size = split.consumed === 0 ? size * 2 : stretch;
        }
        expect(found).toEqual(given);
      }),
    );
  });

  it("finds all whole frames before a torn end", () => {
    fc.assert(
      fc.property(ids, fc.nat(), (given, cut) => {
        const bytes = frames(given);
        const torn = bytes.subarray(0, cut % bytes.length);
        const split = splitFrames(torn, noLimits, true);
        const found = idsOf(split.payloads);
        expect(found).toEqual(given.slice(0, found.length));
        expect(frames(found).length + split.damaged).toBe(torn.length);
        expect(split.consumed).toBe(torn.length);
      }),
    );
  });

  it("loses at most the frame in which a byte was damaged", () => {
    fc.assert(
      fc.property(ids, fc.nat(), fc.integer({ min: 1, max: 255 }), (given, at, flip) => {
        const bytes = frames(given);
        const place = at % bytes.length;
        bytes[place] = (bytes[place] ?? 0) ^ flip;
        const found = idsOf(splitFrames(bytes, noLimits, true).payloads);
        expect(found.length).toBe(given.length - 1);
        for (const id of found) expect(given).toContain(id);
      }),
    );
  });

  it("takes zeros at the end for no record", () => {
    const split = splitFrames(Buffer.concat([frames(["a"]), Buffer.alloc(64)]), noLimits, true);
    expect(idsOf(split.payloads)).toEqual(["a"]);
    expect(split.damaged).toBe(64);
  });

  it("keeps to the limits and takes one frame at least", () => {
    const bytes = frames(["a", "b", "c"]);
    expect(idsOf(splitFrames(bytes, { records: 2, bytes: 1000 }, true).payloads)).toEqual([
      "a",
      "b",
    ]);
    const split = splitFrames(bytes, { records: 9, bytes: 1 }, true);
    expect(idsOf(split.payloads)).toEqual(["a"]);
    expect(split.consumed).toBe(bytes.length / 3);
  });
});
