/**
 * Writes protobuf's wire format into one buffer that grows and is used again. The generated encoder
 * walks descriptors and allocates for each field (10 µs for a request's record); this one is for
 * the single message that each request writes.
 */
export class WireWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(initialBytes: number) {
    this.#buffer = Buffer.allocUnsafeSlow(initialBytes);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written since the last reset; valid until the next write. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Forgets what was written, and a buffer that one peak made large. */
  reset(keepBytesMax: number): void {
    this.#length = 0;
    if (this.#buffer.length > keepBytesMax) this.#buffer = Buffer.allocUnsafeSlow(keepBytesMax);
  }

  /** Leaves room to be filled in later; returns where it begins. */
  reserve(bytes: number): number {
    this.#ensure(bytes);
    const begin = this.#length;
    this.#length += bytes;
    return begin;
  }

  /** Writes 32 bits, the lowest byte first, at a place that was reserved. */
  patchUint32(value: number, at: number): void {
    this.#buffer.writeUInt32LE(value >>> 0, at);
  }

  string(field: number, value: string): void {
    if (value !== "") this.#string(field, value);
  }

  /** Writes an empty one too. */
  repeatedString(field: number, value: string): void {
    this.#string(field, value);
  }

  bool(field: number, value: boolean): void {
    if (value) this.#varint(field, 1);
  }

  int32(field: number, value: number): void {
    if (value !== 0) this.#integer(field, value);
  }

  int64(field: number, value: bigint): void {
    if (value !== 0n) this.optionalInt64(field, value);
  }

  /** Writes 0 too. */
  optionalInt64(field: number, value: bigint): void {
    const number = Number(value);
    if (Number.isSafeInteger(number)) this.#integer(field, number);
    else this.#bigVarint(field, value);
  }

  /** Begins a message within the message; returns what `end` wants. */
  begin(field: number): number {
    this.#ensure(12);
    this.#raw((field << 3) | 2);
    this.#length += 1;
    return this.#length;
  }

  /**
   * Ends a message that began at `start`. One byte was left for its length; a longer one is made
   * room for.
   */
  end(start: number): void {
    const size = this.#length - start;
    if (size < 0x80) {
      this.#buffer[start - 1] = size;
      return;
    }
    const extra = sizeOfVarint(size) - 1;
    this.#ensure(extra);
    this.#buffer.copyWithin(start + extra, start, start + size);
    this.#length = start - 1;
    this.#raw(size);
    this.#length = start + extra + size;
  }

  #string(field: number, value: string): void {
    const length = value.length;
    this.#ensure(12 + length * 3);
    this.#raw((field << 3) | 2);
    const start = this.#length + 1;
    // Below this length a loop beats the call into native code.
    const size = length <= 32 ? this.#writeAscii(value, start) : -1;
    if (size >= 0) {
      this.#buffer[start - 1] = size;
      this.#length = start + size;
      return;
    }
    const lengthBytes = sizeOfVarint(length);
    const written = this.#buffer.write(value, this.#length + lengthBytes, "utf8");
    const extra = sizeOfVarint(written) - lengthBytes;
    const from = this.#length + lengthBytes;
    if (extra > 0) this.#buffer.copyWithin(from + extra, from, from + written);
    this.#raw(written);
    this.#length += written;
  }

  /** The size, or -1 when a character is not ASCII. */
  #writeAscii(value: string, start: number): number {
    const buffer = this.#buffer;
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) return -1;
      buffer[start + i] = code;
    }
    return value.length;
  }

  #integer(field: number, value: number): void {
    if (value < 0) this.#bigVarint(field, BigInt(value));
    else this.#varint(field, value);
  }

  #varint(field: number, value: number): void {
    this.#ensure(16);
    this.#raw(field << 3);
    this.#raw(value);
  }

  #bigVarint(field: number, value: bigint): void {
    this.#ensure(16);
    this.#raw(field << 3);
    let rest = BigInt.asUintN(64, value);
    while (rest > 0x7fn) {
      this.#buffer[this.#length++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#buffer[this.#length++] = Number(rest);
  }

  /** A varint of a safe integer; the room for it is there. */
  #raw(value: number): void {
    let rest = value;
    // Shifts work on 32 bits only.
    while (rest > 0x7fffffff) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    while (rest > 0x7f) {
      this.#buffer[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[this.#length++] = rest;
  }

  #ensure(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}

function sizeOfVarint(value: number): number {
  let size = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 0x80)) size++;
  return size;
}
