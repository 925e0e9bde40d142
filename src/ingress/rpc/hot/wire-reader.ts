import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";

/**
 * Thrown, always as this one object, when a message has what only the generic decoder knows or may
 * judge: it then decodes the whole message.
 */
export const UNUSUAL = new Error("Only the generic decoder can read this message.");

/**
 * Reads protobuf's wire format as nearly every encoder writes it. Whatever is written otherwise,
 * though it be allowed, and whatever is malformed throws UNUSUAL.
 */
export class WireReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Where the whole message ends. */
  get end(): number {
    return this.#bytes.length;
  }

  /** Whether there are fields before `end`. */
  before(end: number): boolean {
    return this.#at < end;
  }

  /** The next field's number and wire type; only tags of one byte are usual. */
  tag(): number {
    return this.#bytes[this.#at++] ?? 0;
  }

  /** Reads the length of what lies within `end`, and returns where that ends. */
  inner(end: number): number {
    const bytes = this.uint28();
    const innerEnd = this.#at + bytes;
    if (innerEnd > end) throw UNUSUAL;
    return innerEnd;
  }

  string(end: number): string {
    const bytes = this.#bytes;
    const from = this.#at;
    const length = bytes[from] ?? 0x80;
    if (length > SHORT_BYTES) return this.#longString(end);
    const begin = from + 1;
    const innerEnd = begin + length;
    if (innerEnd > end) throw UNUSUAL;
    for (let at = begin; at < innerEnd; at++) {
      if ((bytes[at] ?? 0x80) > 0x7f) return this.#longString(end);
    }
    this.#at = innerEnd;
    return length === 0 ? "" : bytes.toString("latin1", begin, innerEnd);
  }

  #longString(end: number): string {
    const innerEnd = this.inner(end);
    const text = this.#bytes.toString("utf8", this.#at, innerEnd);
    // What is not UTF-8 has become this character, and is for the generic decoder to refuse.
    if (text.includes("\ufffd")) throw UNUSUAL;
    this.#at = innerEnd;
    return text;
  }

  /** A varint of at most four bytes, which every length, count and enum of use fits into. */
  uint28(): number {
    const bytes = this.#bytes;
    let value = bytes[this.#at++] ?? 0x80;
    if (value < 0x80) return value;
    value &= 0x7f;
    for (let shift = 7; shift < 28; shift += 7) {
      const byte = bytes[this.#at++];
      if (byte === undefined) throw UNUSUAL;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw UNUSUAL;
  }

  /** Any number, as enums are open. */
  enumNumber<Enum extends number>(): Enum {
    // The one thing that a cast can say here: a number of the caller's enum, known or not.
    return this.uint28() as Enum;
  }

  bool(): boolean {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined || byte > 1) throw UNUSUAL;
    return byte === 1;
  }

  double(): number {
    const from = this.#at;
    if (from + 8 > this.#bytes.length) throw UNUSUAL;
    this.#at = from + 8;
    return this.#bytes.readDoubleLE(from);
  }

  /**
   * Throws UNUSUAL unless what was read ended exactly at `end`: a number may have run beyond it.
   */
  close(end: number): void {
    if (this.#at !== end) throw UNUSUAL;
  }

  /**
   * A message within `end` that the generic decoder shall read. `depth` is that of the message
   * itself, the whole one being 1, so that the limit of nesting stays where it is.
   */
  generic<Desc extends DescMessage>(schema: Desc, end: number, depth: number): MessageShape<Desc> {
    const innerEnd = this.inner(end);
    const bytes = this.#bytes.subarray(this.#at, innerEnd);
    this.#at = innerEnd;
    return fromBinary(schema, bytes, { ...READ_OPTIONS, recursionLimit: DEPTH_MAX + 1 - depth });
  }
}

/**
 * Nobody reads the fields of a request that its schema does not know; to keep them would cost a
 * hundred times their bytes.
 */
export const READ_OPTIONS = { readUnknownFields: false };

/** Up to here a look at each byte is quicker than a call of the UTF-8 decoder. */
const SHORT_BYTES = 24;
/** The limit of protobuf-es. */
const DEPTH_MAX = 100;
