import type { DecodedFields } from "./decoded-fields.ts";

/**
 * The last few blocks of a connection that left the dynamic table as it was, with what they said. A
 * client that repeats its calls repeats such a block byte for byte, which then costs a comparison.
 */
export class HpackBlockCache {
  /** Copies of the blocks, one place each; made when there is something to keep. */
  #blocks: Uint8Array | undefined;
  readonly #lengths: number[] = [];
  readonly #fields: DecodedFields[] = [];
  /** The place that is overwritten next. */
  #next = 0;

  find(bytes: Uint8Array, start: number, end: number): DecodedFields | undefined {
    const blocks = this.#blocks;
    if (blocks === undefined) return undefined;
    const length = end - start;
    for (let place = 0; place < this.#lengths.length; place += 1) {
      if (this.#lengths[place] !== length) continue;
      if (isSame(blocks, place * BLOCK_BYTES_MAX, bytes, start, length)) return this.#fields[place];
    }
    return undefined;
  }

  keep(bytes: Uint8Array, start: number, end: number, fields: DecodedFields): void {
    const length = end - start;
    if (length > BLOCK_BYTES_MAX) return;
    this.#blocks ??= new Uint8Array(BLOCKS_MAX * BLOCK_BYTES_MAX);
    const place = this.#next;
    this.#next = (place + 1) % BLOCKS_MAX;
    const from = place * BLOCK_BYTES_MAX;
    for (let i = 0; i < length; i += 1) this.#blocks[from + i] = bytes[start + i] ?? 0;
    this.#lengths[place] = length;
    this.#fields[place] = fields;
  }

  /** The same bytes mean something else once the table has changed. */
  clear(): void {
    if (this.#lengths.length === 0) return;
    this.#lengths.length = 0;
    this.#fields.length = 0;
    this.#next = 0;
  }
}

function isSame(
  blocks: Uint8Array,
  from: number,
  bytes: Uint8Array,
  start: number,
  length: number,
): boolean {
  for (let i = 0; i < length; i += 1) {
    if (blocks[from + i] !== bytes[start + i]) return false;
  }
  return true;
}

/** Alternating calls of one client, and their trailers. */
const BLOCKS_MAX = 4;
/** Enough for the path and a token as text; the rest is an octet a field. */
const BLOCK_BYTES_MAX = 256;
