import { HpackError } from "./hpack-error.ts";

/**
 * The text of a Huffman-coded string (RFC 7541, 5.2), a character for each octet. Throws HpackError
 * when it holds the end-of-string code, or ends in anything but less than eight bits of one.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string {
  const out = scratchFor(end - start);
  const bitsEnd = end << 3;
  let bit = start << 3;
  let length = 0;
  while (bit < bitsEnd) {
    const at = bit >> 3;
    const three = (octet(bytes, at, end) << 16) | (octet(bytes, at + 1, end) << 8);
    const window = ((three | octet(bytes, at + 2, end)) >> (8 - (bit & 7))) & 0xffff;
    const short = shortCodes[window >> (16 - SHORT_BITS)] ?? 0;
    const code = short === 0 ? findLongCode(bytes, bit, end) : short;
    bit += code & LENGTH_MASK;
    if (bit > bitsEnd) {
      assertPadding(bytes, bit - (code & LENGTH_MASK), end);
      break;
    }
    out[length] = code >> LENGTH_BITS;
    length += 1;
  }
  return out.toString("latin1", 0, length);
}

/** Beyond the end there are ones, which is what a string is padded with. */
function octet(bytes: Uint8Array, at: number, end: number): number {
  return at < end ? (bytes[at] ?? 0) : 0xff;
}

/** Less than eight bits, all of them ones. */
function assertPadding(bytes: Uint8Array, bit: number, end: number): void {
  const left = (end << 3) - bit;
  const ones = (1 << left) - 1;
  if (left < 8 && (octet(bytes, end - 1, end) & ones) === ones) return;
  throw new HpackError("A Huffman-coded string ends in the middle of a character.");
}

/** A code of more than ten bits; the end is padded as a string's is. */
function findLongCode(bytes: Uint8Array, bit: number, end: number): number {
  const at = bit >> 3;
  let window = 0;
  for (let i = 0; i < 4; i += 1) window = window * 256 + octet(bytes, at + i, end);
  const shift = bit & 7;
  window = ((window << shift) | (octet(bytes, at + 4, end) >> (8 - shift))) >>> 0;
  for (let length = SHORT_BITS + 1; length <= CODE_BITS_MAX; length += 1) {
    const code = window >>> (32 - length);
    const offset = code - (firstCodes[length] ?? 0);
    const symbol = symbolsOf[length]?.[offset];
    if (symbol === undefined) continue;
    // What is cut off by the end is padding, whichever code its ones begin.
    if (symbol < END_OF_STRING || bit + length > end << 3) return (symbol << LENGTH_BITS) | length;
    break;
  }
  throw new HpackError("A Huffman-coded string holds the end-of-string code.");
}

/** Symbol and length of a code, in one number. */
const LENGTH_BITS = 5;
const LENGTH_MASK = 31;
/**
 * Codes of no more bits are found in one step; all that is common in a header has eight or less.
 */
const SHORT_BITS = 10;
const CODE_BITS_MAX = 30;
const END_OF_STRING = 256;

/**
 * The bits of each symbol's code, which is all that RFC 7541, appendix B says: its codes are
 * ascending by length, and by symbol within a length.
 */
const codeLengths = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
  28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5,
  6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6,
  7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
  23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22,
  22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22,
  23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27,
  27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25,
  24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/** By length: its symbols in the order of their codes. */
const symbolsOf: number[][] = Array.from({ length: CODE_BITS_MAX + 1 }, (_, length) =>
  codeLengths.flatMap((each, symbol) => (each === length ? [symbol] : [])),
);

/** By length: the code of its first symbol. */
const firstCodes: number[] = listFirstCodes();

/** By the next bits of a string: symbol and length of the code that they begin with; 0 is none. */
const shortCodes: Uint16Array = listShortCodes();

function listFirstCodes(): number[] {
  const codes: number[] = [];
  let next = 0;
  for (const [length, symbols] of symbolsOf.entries()) {
    codes.push(next);
    next = (next + symbols.length) * 2;
    if (length === 0) next = 0;
  }
  return codes;
}

function listShortCodes(): Uint16Array {
  const codes = new Uint16Array(1 << SHORT_BITS);
  for (let length = 1; length <= SHORT_BITS; length += 1) {
    const spread = SHORT_BITS - length;
    for (const [offset, symbol] of (symbolsOf[length] ?? []).entries()) {
      const code = (firstCodes[length] ?? 0) + offset;
      codes.fill((symbol << LENGTH_BITS) | length, code << spread, (code + 1) << spread);
    }
  }
  return codes;
}

/** The shortest code has five bits. */
function scratchFor(codedBytes: number): Buffer {
  const size = Math.ceil((codedBytes * 8) / 5);
  return size <= scratch.length ? scratch : Buffer.allocUnsafe(size);
}

const scratch = Buffer.allocUnsafe(4096);
