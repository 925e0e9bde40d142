import { HEAD_BYTES_MAX, headTooLarge, malformed, RequestFault } from "./refusal.ts";

/**
 * Gathers lines up to the empty one that ends them: the head of a request, or the trailers of its
 * body. Judges what can be judged without knowing what a line says: lines end with CR LF, neither
 * of the two comes alone, and no other control character comes but the tab.
 */
export class FieldBlock {
  /** The lines, each with its end; complete once `read()` has returned no -1. */
  text = "";
  #bytes: Buffer | undefined;
  #length = 0;
  /** How far it has been looked at. */
  #seen = 0;
  #lineStart = 0;

  /** Whether a block is incomplete. */
  get begun(): boolean {
    return this.#bytes !== undefined;
  }

  /**
   * Reads on from `from`. Returns where the block's end is; -1 when it takes more bytes to get
   * there. Throws RequestFault.
   */
  read(bytes: Buffer, from: number): number {
    if (this.#bytes !== undefined) return this.#readOn(this.#bytes, bytes, from);
    this.#seen = from;
    this.#lineStart = from;
    const end = this.#look(bytes, bytes.length);
    if (end >= 0) {
      if (end - from > HEAD_BYTES_MAX) throw new RequestFault(headTooLarge);
      this.text = bytes.toString("latin1", from, end - 2);
      return end;
    }
    const length = bytes.length - from;
    if (length > HEAD_BYTES_MAX) throw new RequestFault(headTooLarge);
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, length * 2));
    bytes.copy(this.#bytes, 0, from);
    this.#length = length;
    this.#seen -= from;
    this.#lineStart -= from;
    return -1;
  }

  #readOn(held: Buffer, bytes: Buffer, from: number): number {
    const before = this.#length;
    // One more than there may be, so that it shows.
    const taken = Math.min(bytes.length - from, HEAD_BYTES_MAX + 1 - before);
    const length = before + taken;
    let room = held;
    if (length > held.length) {
      room = Buffer.allocUnsafeSlow(length * 2);
      held.copy(room, 0, 0, before);
      this.#bytes = room;
    }
    bytes.copy(room, before, from, from + taken);
    this.#length = length;
    const end = this.#look(room, length);
    if (end < 0) {
      if (length > HEAD_BYTES_MAX) throw new RequestFault(headTooLarge);
      return -1;
    }
    if (end > HEAD_BYTES_MAX) throw new RequestFault(headTooLarge);
    this.#bytes = undefined;
    this.text = room.toString("latin1", 0, end - 2);
    return from + end - before;
  }

  /** Looks at what is new, up to `length`. Returns what `read()` does. */
  #look(bytes: Buffer, length: number): number {
    let lineStart = this.#lineStart;
    let at = this.#seen;
    for (; at < length; at += 1) {
      const code = bytes[at] ?? 0;
      if (code >= SPACE ? code !== DELETE : code === TAB) continue;
      if (code !== CR) throw new RequestFault(malformed);
      // The next byte decides; it may not be there yet.
      if (at + 1 === length) break;
      if (bytes[at + 1] !== LF) throw new RequestFault(malformed);
      if (at === lineStart) return at + 2;
      lineStart = at + 2;
      at += 1;
    }
    this.#lineStart = lineStart;
    this.#seen = at;
    return -1;
  }
}

const FIRST_BYTES = 512;
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const DELETE = 0x7f;
