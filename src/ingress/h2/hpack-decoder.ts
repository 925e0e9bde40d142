import { type DecodedFields, FieldCollector } from "./decoded-fields.ts";
import { createHeaderField, type HeaderField } from "./header-field.ts";
import { HpackBlockCache } from "./hpack-block-cache.ts";
import { DecoderTable } from "./hpack-decoder-table.ts";
import { HpackError } from "./hpack-error.ts";
import { decodeHuffman } from "./hpack-huffman.ts";

/** What a connection has told its peer. */
export interface HpackDecoderOptions {
  /** SETTINGS_HEADER_TABLE_SIZE. */
  readonly tableBytesMax: number;
  /** SETTINGS_MAX_HEADER_LIST_SIZE. */
  readonly listBytesMax: number;
}

/** Decodes the header blocks of one connection, all of them and in their order (RFC 7541). */
export class HpackDecoder {
  readonly #tableBytesMax: number;
  readonly #table: DecoderTable;
  readonly #collector: FieldCollector;
  readonly #cache = new HpackBlockCache();
  /** Whether the block that is being read has changed the table. */
  #changed = false;
  #bytes: Buffer = NOTHING;
  #at = 0;
  #end = 0;

  constructor({ tableBytesMax, listBytesMax }: HpackDecoderOptions) {
    this.#tableBytesMax = tableBytesMax;
    this.#table = new DecoderTable(tableBytesMax);
    this.#collector = new FieldCollector(listBytesMax);
  }

  /**
   * The fields of the whole block in `bytes` from `start` to `end`, which it does not keep. Throws
   * HpackError when the connection must end; what only the message is guilty of is in the result.
   * The caller bounds the block: work grows with its length, and with nothing else.
   */
  decode(bytes: Buffer, start: number, end: number): DecodedFields {
    const known = this.#cache.find(bytes, start, end);
    if (known !== undefined) return known;
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#changed = false;
    this.#readSizes();
    while (this.#at < end) this.#collector.add(this.#readField());
    this.#bytes = NOTHING;
    const fields = this.#collector.finish();
    if (this.#changed) this.#cache.clear();
    else this.#cache.keep(bytes, start, end, fields);
    return fields;
  }

  #readSizes(): void {
    while (this.#at < this.#end && ((this.#bytes[this.#at] ?? 0) & SIZE_MASK) === SIZE) {
      const bytesMax = this.#readInteger(0x1f);
      if (bytesMax > this.#tableBytesMax) {
        throw new HpackError("The table is made larger than this end allows.");
      }
      this.#table.resize(bytesMax);
      this.#changed = true;
    }
  }

  #readField(): HeaderField {
    const first = this.#bytes[this.#at] ?? 0;
    if (first >= INDEXED) return this.#get(this.#readInteger(0x7f));
    if (first >= LITERAL_TO_INDEX) {
      const field = this.#readLiteral(0x3f);
      this.#table.add(field);
      this.#changed = true;
      return field;
    }
    if (first >= SIZE) throw new HpackError("The table's size changes after a field.");
    return this.#readLiteral(0x0f);
  }

  #readLiteral(prefix: number): HeaderField {
    const index = this.#readInteger(prefix);
    const name = index === 0 ? this.#readText() : this.#get(index).name;
    return createHeaderField(name, this.#readText());
  }

  #get(index: number): HeaderField {
    const field = this.#table.get(index);
    if (field === undefined) throw new HpackError("A field's index is not in the table.");
    return field;
  }

  #readText(): string {
    if (this.#at >= this.#end) throw new HpackError(CUT);
    const coded = (this.#bytes[this.#at] ?? 0) >= HUFFMAN;
    const length = this.#readInteger(0x7f);
    const start = this.#at;
    if (length > this.#end - start) throw new HpackError(CUT);
    this.#at += length;
    if (coded) return decodeHuffman(this.#bytes, start, this.#at);
    return this.#bytes.toString("latin1", start, this.#at);
  }

  /** RFC 7541, 5.1; `prefix` has a one for each of its bits. */
  #readInteger(prefix: number): number {
    let value = (this.#bytes[this.#at] ?? 0) & prefix;
    this.#at += 1;
    if (value < prefix) return value;
    for (let shift = 0; shift <= SHIFT_MAX; shift += 7) {
      if (this.#at >= this.#end) throw new HpackError(CUT);
      const octet = this.#bytes[this.#at] ?? 0;
      this.#at += 1;
      value += (octet & 0x7f) << shift;
      if (octet < 0x80) return value;
    }
    throw new HpackError("An integer is too large.");
  }
}

const INDEXED = 0x80;
const LITERAL_TO_INDEX = 0x40;
const SIZE = 0x20;
const SIZE_MASK = 0xe0;
const HUFFMAN = 0x80;
/** Four octets of seven bits: no length and no index comes near. */
const SHIFT_MAX = 21;
const CUT = "A header block ends in the middle of a field.";
const NOTHING = Buffer.alloc(0);
