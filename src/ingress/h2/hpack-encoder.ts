import { EncoderTable } from "./hpack-encoder-table.ts";
import { type FieldName, findFieldName } from "./hpack-field-name.ts";

/**
 * Encodes the header blocks of one connection (RFC 7541). Fields that are constant for a connection
 * go into the dynamic table, all others are sent as they are. There is no Huffman coding: it saves
 * a fifth of the bytes of what is not in a table, and costs more than all else here.
 */
export class HpackEncoder {
  readonly #table = new EncoderTable(TABLE_BYTES_MAX);
  #tableBytes = TABLE_BYTES_MAX;
  /** The smallest size since the last block, and whether the peer must be told of it. */
  #smallest = TABLE_BYTES_MAX;
  #resized = false;
  #into: Buffer = NOTHING;
  #at = 0;

  /**
   * Writes one block of `fields`, names and values in turn, into `into` from `at` on, and returns
   * where it ends. There must be room for `boundBlock(fields)` bytes. The block must be sent, and
   * in the order of the calls. Names become lower case; in values, what is not a visible character
   * of Latin-1, a space or a tab becomes "?". Throws a TypeError when a name is malformed; what was
   * written until then must not be sent.
   */
  encode(fields: readonly string[], into: Buffer, at: number): number {
    this.#into = into;
    this.#at = at;
    if (this.#resized) this.#writeSizes();
    try {
      for (let i = 0; i + 1 < fields.length; i += 2) {
        this.#writeField(findFieldName(fields[i] ?? ""), fields[i + 1] ?? "");
      }
    } catch (thrown) {
      this.#forgetAll();
      throw thrown;
    }
    this.#into = NOTHING;
    return this.#at;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE, each time that it says one. */
  setTableSize(bytesMax: number): void {
    const bytes = Math.min(bytesMax, TABLE_BYTES_MAX);
    if (bytes === this.#tableBytes) return;
    if (!this.#resized || bytes < this.#smallest) this.#smallest = bytes;
    this.#resized = true;
    this.#tableBytes = bytes;
    this.#table.resize(bytes);
  }

  /** What was not sent may have been put into the table: the next block has to empty it. */
  #forgetAll(): void {
    const bytes = this.#tableBytes;
    this.#table.resize(0);
    this.#table.resize(bytes);
    this.#smallest = 0;
    this.#resized = true;
    this.#into = NOTHING;
  }

  /** RFC 7541, 4.2: the smallest in between first, since it decided what was evicted. */
  #writeSizes(): void {
    this.#resized = false;
    if (this.#smallest < this.#tableBytes) this.#writeInteger(SIZE, 0x1f, this.#smallest);
    this.#writeInteger(SIZE, 0x1f, this.#tableBytes);
  }

  #writeField(name: FieldName, value: string): void {
    const known = name.values?.get(value) ?? 0;
    const index = known === 0 && name.slot >= 0 ? this.#table.find(name.slot, value) : known;
    if (index !== 0) {
      this.#writeInteger(INDEXED, 0x7f, index);
      return;
    }
    const bytes = name.text.length + value.length + FIELD_OVERHEAD_BYTES;
    if (name.slot >= 0 && this.#table.takes(bytes)) {
      this.#table.add(name.slot, value, bytes);
      this.#writeInteger(LITERAL_TO_INDEX, 0x3f, name.index);
    } else {
      this.#writeInteger(name.secret ? LITERAL_SECRET : LITERAL, 0x0f, name.index);
    }
    if (name.index === 0) this.#writeText(name.text);
    this.#writeText(value);
  }

  #writeText(text: string): void {
    this.#writeInteger(0, 0x7f, text.length);
    const into = this.#into;
    const at = this.#at;
    for (let i = 0; i < text.length; i += 1) {
      const code = text.charCodeAt(i);
      const fits = code < 0x7f ? code >= SPACE || code === TAB : code > 0x7f && code <= 0xff;
      into[at + i] = fits ? code : QUESTION_MARK;
    }
    this.#at = at + text.length;
  }

  /** RFC 7541, 5.1; `prefix` has a one for each of its bits, `high` is what stands before them. */
  #writeInteger(high: number, prefix: number, value: number): void {
    const into = this.#into;
    if (value < prefix) {
      into[this.#at] = high | value;
      this.#at += 1;
      return;
    }
    into[this.#at] = high | prefix;
    this.#at += 1;
    let rest = value - prefix;
    for (; rest >= 0x80; rest >>= 7) {
      into[this.#at] = (rest & 0x7f) | 0x80;
      this.#at += 1;
    }
    into[this.#at] = rest;
    this.#at += 1;
  }
}

/** As many bytes as a block of these fields has at most. */
export function boundBlock(fields: readonly string[]): number {
  let bytes = SIZES_BYTES_MAX;
  for (const text of fields) bytes += text.length + TEXT_OVERHEAD_BYTES_MAX;
  return bytes;
}

/** The first byte of a field, and an integer before each of its texts. */
const TEXT_OVERHEAD_BYTES_MAX = 6;
const SIZES_BYTES_MAX = 8;
/** What a peer has before it says otherwise. More is of no use to so few constants. */
const TABLE_BYTES_MAX = 4096;
const FIELD_OVERHEAD_BYTES = 32;
const INDEXED = 0x80;
const LITERAL_TO_INDEX = 0x40;
const SIZE = 0x20;
const LITERAL_SECRET = 0x10;
const LITERAL = 0x00;
const TAB = 0x09;
const SPACE = 0x20;
const QUESTION_MARK = 0x3f;
const NOTHING = Buffer.alloc(0);
