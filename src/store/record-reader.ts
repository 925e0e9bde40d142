/**
 * Thrown, always as this one object, where a record is written in a way that only the generated
 * decoder knows or may judge.
 */
export const UNUSUAL = new Error("Only the generated decoder can read this record.");

/** Reads protobuf's wire format as nearly every encoder writes it; throws UNUSUAL at all else. */
export class RecordReader {
  readonly #bytes: Buffer;
  #at = 0;
  #end: number;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#end = bytes.length;
  }

  /** Whether there is more of the message. */
  get more(): boolean {
    return this.#at < this.#end;
  }

  /** The next field's number times eight, and its type on the wire. */
  tag(): number {
    return this.integer();
  }

  /**
   * Goes into the message that is next; returns what `leave` wants. Until then it ends where that
   * message does.
   */
  enter(): number {
    const outer = this.#end;
    const length = this.#length();
    this.#end = this.#at + length;
    return outer;
  }

  /** Throws UNUSUAL where the message did not end with its last field. */
  leave(outer: number): void {
    if (this.#at !== this.#end) throw UNUSUAL;
    this.#end = outer;
  }

  text(): string {
    const length = this.#length();
    const begin = this.#at;
    this.#at += length;
    if (length === 0) return "";
    const bytes = this.#bytes;
    if (length <= SHORT_BYTES) {
      let seen = 0;
      for (let at = begin; at < this.#at; at++) seen |= bytes[at] ?? 0x80;
      if (seen < 0x80) return bytes.toString("latin1", begin, this.#at);
    }
    const text = bytes.toString("utf8", begin, this.#at);
    // What is not UTF-8 has become this character, and is for the generated decoder to judge.
    if (text.includes("\ufffd")) throw UNUSUAL;
    return text;
  }

  /** A number below 2^31 that is not negative. */
  int32(): number {
    const value = this.integer();
    if (value > 0x7fff_ffff) throw UNUSUAL;
    return value;
  }

  /** A number below 2^49 that is not negative. */
  integer(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.#at++] ?? 0xff;
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let factor = 0x80; factor <= FACTOR_MAX; factor *= 0x80) {
      byte = bytes[this.#at++] ?? 0xff;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw UNUSUAL;
  }

  /** Passes over a field whose tag was read. */
  skip(tag: number): void {
    const type = tag & 7;
    if (type === 0) {
      this.integer();
    } else if (type === 2) {
      const length = this.#length();
      this.#at += length;
    } else {
      throw UNUSUAL;
    }
  }

  #length(): number {
    const length = this.integer();
    if (length > this.#end - this.#at) throw UNUSUAL;
    return length;
  }
}

/** Up to here a look at each byte is quicker than a call of the UTF-8 decoder. */
const SHORT_BYTES = 64;
/** Of the seventh byte of a number; what is longer might not be exact. */
const FACTOR_MAX = 0x80 ** 6;
