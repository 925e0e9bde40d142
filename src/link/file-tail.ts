/**
 * The last bytes that were appended to a file, so that who follows it closely need not ask the disk
 * for what this process has just written.
 */
export class FileTail {
  #bytes: Buffer = NOTHING;
  /** Where in the file the first of them lies. */
  #begin = 0;
  #length = 0;

  /** Takes what was appended to the file at `at`. */
  append(bytes: Buffer, at: number): void {
    if (this.#length + bytes.length > this.#bytes.length || at !== this.#begin + this.#length) {
      // A new one, and not the old one again: what was read is still somebody's.
      this.#bytes = Buffer.allocUnsafeSlow(Math.max(TAIL_BYTES, bytes.length));
      this.#begin = at;
      this.#length = 0;
    }
    bytes.copy(this.#bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A view of a part that is wholly there; undefined when it must be read from the file. */
  read(at: number, size: number): Buffer | undefined {
    const from = at - this.#begin;
    if (from < 0 || from + size > this.#length) return undefined;
    return this.#bytes.subarray(from, from + size);
  }

  /** Lets go of all of it. */
  forget(): void {
    this.#bytes = NOTHING;
    this.#length = 0;
  }
}

const NOTHING = Buffer.alloc(0);
/** What a proxy under full load writes in some twenty milliseconds, many times over. */
const TAIL_BYTES = 256 * 1024;
