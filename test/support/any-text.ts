import fc from "fast-check";

const HALF_PAIRS = { first: 0xd800, count: 0x800 };
const CODE_POINTS = 0x110000;

/**
 * Text of any characters that can travel as UTF-8, those of all planes alike. As
 * `fc.string({ unit: "binary" })`, which takes seconds to find out what characters there are.
 */
export function anyText(more: fc.ArrayConstraints = {}): fc.Arbitrary<string> {
  const ascii = fc.integer({ min: 0, max: 0x7f });
  const any = fc.integer({ min: 0, max: CODE_POINTS - HALF_PAIRS.count - 1 });
  return fc
    .array(fc.oneof(ascii, any), more)
    .map((places) => String.fromCodePoint(...places.map(skipHalfPairs)));
}

function skipHalfPairs(place: number): number {
  return place < HALF_PAIRS.first ? place : place + HALF_PAIRS.count;
}
