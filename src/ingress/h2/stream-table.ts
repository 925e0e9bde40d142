import type { H2Stream } from "./h2-stream.ts";

/**
 * The open streams of a connection by their id. A Map would do, but its old tables keep young
 * streams alive, as roster.ts tells. Ids only grow, so that the low bits of an id are the best of
 * hashes.
 */
export class StreamTable {
  #slots: Array<H2Stream | undefined> = createSlots(8);
  #mask = 7;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): H2Stream | undefined {
    const slots = this.#slots;
    for (let at = home(id, this.#mask); ; at = (at + 1) & this.#mask) {
      const stream = slots[at];
      if (stream === undefined || stream.id === id) return stream;
    }
  }

  /** No stream of this id may be there. */
  add(stream: H2Stream): void {
    if (this.#size * 2 >= this.#slots.length) this.#grow();
    this.#size += 1;
    this.#put(stream);
  }

  remove(id: number): void {
    const slots = this.#slots;
    const mask = this.#mask;
    let hole = home(id, mask);
    while (slots[hole]?.id !== id) {
      if (slots[hole] === undefined) return;
      hole = (hole + 1) & mask;
    }
    this.#size -= 1;
    // Whoever was pushed away from its home by the one that goes moves up.
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const stream = slots[at];
      if (stream === undefined) break;
      if (((at - home(stream.id, mask)) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = stream;
      hole = at;
    }
    slots[hole] = undefined;
  }

  /** Those that are open now, in no order; the table may change meanwhile. */
  list(): H2Stream[] {
    return this.#slots.filter((stream) => stream !== undefined);
  }

  #put(stream: H2Stream): void {
    let at = home(stream.id, this.#mask);
    while (this.#slots[at] !== undefined) at = (at + 1) & this.#mask;
    this.#slots[at] = stream;
  }

  #grow(): void {
    const streams = this.list();
    const length = this.#slots.length * 2;
    this.#slots = createSlots(length);
    this.#mask = length - 1;
    for (const stream of streams) this.#put(stream);
  }
}

/** Only odd ids are a client's. */
function home(id: number, mask: number): number {
  return (id >>> 1) & mask;
}

function createSlots(length: number): Array<H2Stream | undefined> {
  return new Array<H2Stream | undefined>(length).fill(undefined);
}
