/** Bytes that came before their turn. */
export class Backlog {
  #pieces: Buffer[] = [];
  #size = 0;

  /** How many bytes there are. */
  get size(): number {
    return this.#size;
  }

  /** Keeps what is behind `from`. */
  add(bytes: Buffer, from: number): void {
    this.#pieces.push(from === 0 ? bytes : bytes.subarray(from));
    this.#size += bytes.length - from;
  }

  /** All of it, which is then no longer kept. */
  take(): Buffer {
    const [first = NOTHING, ...others] = this.#pieces;
    this.clear();
    return others.length === 0 ? first : Buffer.concat([first, ...others]);
  }

  clear(): void {
    this.#pieces = [];
    this.#size = 0;
  }
}

const NOTHING = Buffer.alloc(0);
