import { createHeaderField, type HeaderField } from "./header-field.ts";
import { staticTable } from "./hpack-static-table.ts";

/** Static and dynamic table of one direction of a connection, by the indexes of RFC 7541, 2.3. */
export class DecoderTable {
  /** A ring: the newest is before `#next`. Its length is a power of two. */
  readonly #fields: Array<HeaderField | undefined>;
  readonly #mask: number;
  #next = 0;
  #count = 0;
  #bytes = 0;
  #bytesMax: number;

  /** Never holds more than `bytesMax`, as a table counts them. */
  constructor(bytesMax: number) {
    let length = 1;
    while (length * SMALLEST_BYTES < bytesMax) length *= 2;
    this.#fields = new Array(length).fill(undefined);
    this.#mask = length - 1;
    this.#bytesMax = bytesMax;
  }

  /** Undefined when there is none at this index. */
  get(index: number): HeaderField | undefined {
    if (index < DYNAMIC_BEGIN) return staticFields[index];
    const age = index - DYNAMIC_BEGIN;
    return age < this.#count ? this.#fields[(this.#next - 1 - age) & this.#mask] : undefined;
  }

  /** A field that is too large for the whole table empties it, and is no error. */
  add(field: HeaderField): void {
    this.#evict(this.#bytesMax - field.bytes);
    if (field.bytes > this.#bytesMax) return;
    this.#fields[this.#next] = field;
    this.#next = (this.#next + 1) & this.#mask;
    this.#count += 1;
    this.#bytes += field.bytes;
  }

  /** To no more than the constructor was told; that is the caller's to see to. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#evict(bytesMax);
  }

  #evict(bytesLeft: number): void {
    while (this.#count > 0 && this.#bytes > bytesLeft) {
      const at = (this.#next - this.#count) & this.#mask;
      this.#bytes -= this.#fields[at]?.bytes ?? 0;
      this.#fields[at] = undefined;
      this.#count -= 1;
    }
  }
}

/** The first index of the dynamic table. */
const DYNAMIC_BEGIN = 62;
/** An empty name and an empty value. */
const SMALLEST_BYTES = 32;

/** By index; nothing is at 0. */
const staticFields: ReadonlyArray<HeaderField | undefined> = [
  undefined,
  ...staticTable.map(([name, value]) => createHeaderField(name, value)),
];
