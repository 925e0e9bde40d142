import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BodyPieces } from "./body-pieces.ts";

describe("the pieces of a body", () => {
  it("are joined in their order, whatever their sizes and whenever they are joined", () => {
    const size = fc.oneof(fc.nat(40), fc.integer({ min: 8_000, max: 8_400 }), fc.nat(20_000));
    const sizes = fc.array(fc.record({ size, joins: fc.nat(9) }), { maxLength: 30 });
    fc.assert(
      fc.property(sizes, (cuts) => {
        const pieces = new BodyPieces();
        let whole = Buffer.alloc(0);
        for (const [at, { size, joins }] of cuts.entries()) {
          const piece = Buffer.alloc(size, at + 1);
          pieces.add(piece);
          whole = Buffer.concat([whole, piece]);
          if (joins === 0) expect(pieces.join().equals(whole)).toBe(true);
        }
        expect(pieces.bytes).toBe(whole.length);
        expect(pieces.join().equals(whole)).toBe(true);
      }),
    );
  });

  it("do not keep what was read together with them, but for the first few", () => {
    const pieces = new BodyPieces();
    const read = Buffer.alloc(100, 1);
    for (let at = 0; at < 100; at += 1) pieces.add(read.subarray(at, at + 1));
    read.fill(2);
    expect(pieces.join().subarray(4).equals(Buffer.alloc(96, 1))).toBe(true);
  });
});
