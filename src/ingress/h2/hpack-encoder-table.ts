/** What an encoder has put into its peer's dynamic table, found by name and value. */
export class EncoderTable {
  /** Oldest first, from `#oldest` on; what was evicted before it is cut off now and then. */
  readonly #entries: Entry[] = [];
  #oldest = 0;
  /** How many were ever evicted and cut off: the number of the entry at place 0. */
  #cut = 0;
  #bytes = 0;
  #bytesMax: number;
  /** By slot of the name, then by value: the number of the entry. Bounded by the table. */
  readonly #numbers: Array<Map<string, number> | undefined> = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Its index as RFC 7541, 2.3.3 counts; 0 when it is not there. */
  find(slot: number, value: string): number {
    const number = this.#numbers[slot]?.get(value);
    if (number === undefined) return 0;
    return DYNAMIC_BEGIN + this.#cut + this.#entries.length - 1 - number;
  }

  /** Whether a field of so many bytes may be added: it leaves room for a few others. */
  takes(bytes: number): boolean {
    return bytes * 4 <= this.#bytesMax;
  }

  add(slot: number, value: string, bytes: number): void {
    this.#evict(this.#bytesMax - bytes);
    let numbers = this.#numbers[slot];
    if (numbers === undefined) {
      numbers = new Map();
      this.#numbers[slot] = numbers;
    }
    numbers.set(value, this.#cut + this.#entries.length);
    this.#entries.push({ slot, value, bytes });
    this.#bytes += bytes;
  }

  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#evict(bytesMax);
  }

  #evict(bytesLeft: number): void {
    while (this.#bytes > bytesLeft && this.#oldest < this.#entries.length) {
      const entry = this.#entries[this.#oldest];
      this.#oldest += 1;
      if (entry === undefined) continue;
      this.#numbers[entry.slot]?.delete(entry.value);
      this.#bytes -= entry.bytes;
    }
    if (this.#oldest < CUT_AT) return;
    this.#entries.splice(0, this.#oldest);
    this.#cut += this.#oldest;
    this.#oldest = 0;
  }
}

interface Entry {
  readonly slot: number;
  readonly value: string;
  readonly bytes: number;
}

const DYNAMIC_BEGIN = 62;
const CUT_AT = 128;
