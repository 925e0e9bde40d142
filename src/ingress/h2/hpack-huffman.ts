import { HpackError } from "./hpack-error.ts";

/**
 * The text of a Huffman-coded string (RFC 7541, 5.2), a character for each octet. Throws HpackError
 * when it holds the end-of-string code, or ends in anything but less than eight bits of one.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string {
  const out = scratchFor(end - start);
  let length = 0;
  let at = start;
  // The bits that were read and not yet used are the lowest of `window`.
  let window = 0;
  let bits = 0;
  for (;;) {
    while (bits < SHORT_BITS && at < end) {
      window = ((window & 0x3ff) << 8) | (bytes[at] ?? 0);
      bits += 8;
      at += 1;
    }
    const code = shortCodes[firstBits(window, bits)] ?? 0;
    const used = code & LENGTH_MASK;
    if (used > bits || bits === 0) break;
    if (code !== 0) {
      bits -= used;
      out[length] = code >> LENGTH_BITS;
    } else {
      if (bits < 8) break;
      const bit = (at << 3) - bits;
      const long = findLongCode(bytes, bit, end);
      const next = bit + (long & LENGTH_MASK);
      out[length] = long >> LENGTH_BITS;
      at = (next + 7) >> 3;
      bits = (at << 3) - next;
      window = bytes[at - 1] ?? 0;
    }
    length += 1;
  }
  const ones = (1 << bits) - 1;
  if (bits >= 8 || (window & ones) !== ones) throw new HpackError(CUT);
  return out.toString("latin1", 0, length);
}

/** As many as a short code may have; behind the end there are ones, as in a string's padding. */
function firstBits(window: number, bits: number): number {
  if (bits >= SHORT_BITS) return (window >> (bits - SHORT_BITS)) & SHORT_MASK;
  const missing = SHORT_BITS - bits;
  return ((window << missing) | ((1 << missing) - 1)) & SHORT_MASK;
}

/** A code of more than ten bits. Throws when it is none, or cut off by the end. */
function findLongCode(bytes: Uint8Array, bit: number, end: number): number {
  const at = bit >> 3;
  const shift = bit & 7;
  let window = 0;
  for (let i = 0; i < 4; i += 1) window = (window << 8) | (bytes[at + i] ?? 0);
  window = ((window << shift) | ((bytes[at + 4] ?? 0) >> (8 - shift))) >>> 0;
  for (let length = SHORT_BITS + 1; length <= CODE_BITS_MAX; length += 1) {
    if (bit + length > end << 3) throw new HpackError(CUT);
    const offset = (window >>> (32 - length)) - (firstCodes[length] ?? 0);
    const symbol = symbolsOf[length]?.[offset];
    if (symbol === undefined) continue;
    if (symbol < END_OF_STRING) return (symbol << LENGTH_BITS) | length;
    break;
  }
  throw new HpackError("A Huffman-coded string holds the end-of-string code.");
}

const CUT = "A Huffman-coded string ends in the middle of a character.";
/** Symbol and length of a code, in one number. */
const LENGTH_BITS = 5;
const LENGTH_MASK = 31;
/**
 * Codes of no more bits are found in one step; all that is common in a header has eight or less.
 */
const SHORT_BITS = 10;
const SHORT_MASK = 1023;
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
