/**
 * A gRPC message is prefixed by a byte that says whether it is compressed, and four that say how
 * long it is.
 */
export const FRAME_PREFIX_BYTES = 5;

/**
 * Writes protobuf's wire format from its end to its beginning: the length that stands before a
 * message is known by then, so that nothing is measured first, moved, or allocated but the result.
 * Fields are given last to first, and of a list its last item first.
 *
 * Whatever protobuf-es would write in another way than the plain one, or refuse, makes the writer
 * `spoiled`; the generic encoder has to do that message.
 */
export class BackWriter {
  #buffer = Buffer.allocUnsafeSlow(KEPT_BYTES);
  /** What is written lies from here to the end of the buffer. */
  #at = KEPT_BYTES;
  #spoiled = false;

  /** How many bytes are written: taken before a message is, it is what `message()` needs after. */
  get written(): number {
    return this.#buffer.length - this.#at;
  }

  get spoiled(): boolean {
    return this.#spoiled;
  }

  /** Says that only the generic encoder can write what is being written. */
  spoil(): void {
    this.#spoiled = true;
  }

  /** Drops what was written since `written` was this. */
  rewind(written: number): void {
    this.#at = this.#buffer.length - written;
    this.#spoiled = false;
  }

  /** Drops whatever was written: an error may have ended the encoder before. */
  begin(): void {
    // One huge message must not make the buffer huge for good.
    if (this.#buffer.length > KEPT_BYTES_MAX) this.#buffer = Buffer.allocUnsafeSlow(KEPT_BYTES);
    this.#at = this.#buffer.length;
    this.#spoiled = false;
  }

  /** All that was written since `begin()`, in a buffer of its own. */
  copy(): Buffer {
    const bytes = Buffer.allocUnsafe(this.written);
    this.#buffer.copy(bytes, 0, this.#at);
    return bytes;
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#at -= bytes.length;
    this.#buffer.set(bytes, this.#at);
  }

  /** Puts the prefix of gRPC before the message that was written since `written` was this. */
  frame(written: number): void {
    const bytes = this.written - written;
    this.#reserve(FRAME_PREFIX_BYTES);
    this.#at -= FRAME_PREFIX_BYTES;
    this.#buffer[this.#at] = 0;
    this.#buffer.writeUInt32BE(bytes, this.#at + 1);
  }

  /** Makes a field of the message that was written since `written` was this. */
  message(tag: number, written: number): void {
    this.#head(tag, this.written - written);
  }

  /** Writes a text unless it is empty. */
  string(tag: number, text: string): void {
    if (text !== "") this.item(tag, text);
  }

  /** Writes a text even when it is empty, as an item of a list. */
  item(tag: number, text: string): void {
    const { length } = text;
    if (length <= LOOP_CHARS_MAX && this.#tryAscii(text)) {
      this.#head(tag, length);
      return;
    }
    const bytes = Buffer.byteLength(text);
    this.#reserve(bytes);
    this.#at -= bytes;
    this.#buffer.write(text, this.#at, bytes === length ? "latin1" : "utf8");
    this.#head(tag, bytes);
  }

  #tryAscii(text: string): boolean {
    this.#reserve(LOOP_CHARS_MAX);
    const buffer = this.#buffer;
    const begin = this.#at - text.length;
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      if (unit > 0x7f) return false;
      buffer[begin + at] = unit;
    }
    this.#at = begin;
    return true;
  }

  /** Writes a bool unless it is false. */
  bool(tag: number, value: boolean): void {
    if (value) this.number(tag, 1);
  }

  /** Writes an int32 or an enum unless it is zero. */
  int32(tag: number, value: number): void {
    if (value !== 0) this.number(tag, value);
  }

  /** Writes an int32 or an enum that is set, zero or not. */
  number(tag: number, value: number): void {
    // What is below zero takes ten bytes, and what is no int32 is an error.
    if (!(value >= 0 && value <= INT32_MAX) || !Number.isInteger(value)) {
      this.#spoiled = true;
      return;
    }
    this.#reserve(HEAD_BYTES_MAX);
    this.#varint(value);
    this.#tag(tag);
  }

  /** Writes an int64 unless it is zero. */
  int64(tag: number, value: bigint): void {
    if (value !== 0n) this.bigNumber(tag, value);
  }

  /** Writes an int64 that is set, zero or not. */
  bigNumber(tag: number, value: bigint): void {
    const plain = Number(value);
    if (!(plain >= 0 && plain <= Number.MAX_SAFE_INTEGER)) {
      this.#spoiled = true;
      return;
    }
    this.#reserve(HEAD_BYTES_MAX);
    const high = Math.floor(plain / 2 ** 28);
    if (high === 0) this.#varint(plain);
    else {
      this.#varint(high);
      const low = plain % 2 ** 28;
      for (let shift = 21; shift >= 0; shift -= 7) {
        this.#at -= 1;
        this.#buffer[this.#at] = ((low >>> shift) & 0x7f) | 0x80;
      }
    }
    this.#tag(tag);
  }

  /** Writes a packed list of floats unless it is empty. */
  floats(tag: number, values: readonly number[]): void {
    const bytes = values.length * 4;
    if (bytes === 0) return;
    this.#reserve(bytes);
    this.#at -= bytes;
    const { buffer, byteOffset } = this.#buffer;
    const view = new DataView(buffer, byteOffset + this.#at, bytes);
    for (let at = 0; at < values.length; at++) {
      const value = values[at] ?? Number.NaN;
      if (!(value >= -FLOAT_MAX && value <= FLOAT_MAX)) this.#spoiled = true;
      view.setFloat32(at * 4, value, true);
    }
    this.#head(tag, bytes);
  }

  #head(tag: number, bytes: number): void {
    this.#reserve(HEAD_BYTES_MAX);
    this.#varint(bytes);
    this.#tag(tag);
  }

  #tag(tag: number): void {
    this.#at -= 1;
    this.#buffer[this.#at] = tag;
  }

  #varint(value: number): void {
    if (value < 0x80) {
      this.#at -= 1;
      this.#buffer[this.#at] = value;
      return;
    }
    const bytes = value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
    this.#at -= bytes;
    let at = this.#at;
    let rest = value;
    for (; rest >= 0x80; rest >>>= 7) this.#buffer[at++] = (rest & 0x7f) | 0x80;
    this.#buffer[at] = rest;
  }

  /** Makes room, so that what follows need not look. */
  #reserve(bytes: number): void {
    if (bytes <= this.#at) return;
    const { written } = this;
    const larger = Buffer.allocUnsafeSlow(Math.max(written + bytes, this.#buffer.length * 2));
    const at = larger.length - written;
    this.#buffer.copy(larger, at, this.#at);
    this.#buffer = larger;
    this.#at = at;
  }
}

const KEPT_BYTES = 64 * 1024;
/** A buffer that has become larger than this is given back. */
const KEPT_BYTES_MAX = 1024 * 1024;
/** Of a tag and a number. */
const HEAD_BYTES_MAX = 12;
const INT32_MAX = 0x7fff_ffff;
const FLOAT_MAX = 3.4028234663852886e38;
/** Up to here a loop is quicker than a call into the runtime. */
const LOOP_CHARS_MAX = 24;

/** Encoding never yields, so one writer, and its buffer, serves all streams. */
export const backWriter = new BackWriter();
