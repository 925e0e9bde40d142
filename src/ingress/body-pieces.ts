/**
 * Puts a body together from the pieces that the network brings. A piece keeps alive whatever was
 * read together with it, so that of many small ones copies are kept: a body must not cost much more
 * memory than it has bytes, however its sender cuts it.
 */
export class BodyPieces {
  #first: Buffer | undefined;
  #more: Buffer[] | undefined;
  #bytes = 0;
  /** Copies of small pieces, one behind the other; from `#tailFrom` on they are not in `#more`. */
  #tail = EMPTY;
  #tailFrom = 0;
  #tailTo = 0;

  /** How many bytes have come. */
  get bytes(): number {
    return this.#bytes;
  }

  add(piece: Buffer): void {
    this.#bytes += piece.length;
    if (this.#first === undefined) this.#first = piece;
    else if (this.#more === undefined) this.#more = [this.#first, piece];
    else if (this.#more.length < SHARED_MAX) this.#more.push(piece);
    else if (piece.length < SMALL_BYTES) this.#copy(piece);
    else {
      this.#endRun();
      this.#more.push(piece);
    }
  }

  /** All that has come. */
  join(): Buffer {
    this.#endRun();
    if (this.#more !== undefined) {
      this.#first = Buffer.concat(this.#more, this.#bytes);
      this.#more = undefined;
    }
    return this.#first ?? EMPTY;
  }

  #copy(piece: Buffer): void {
    if (this.#tail.length - this.#tailTo < piece.length) {
      this.#endRun();
      this.#tail = Buffer.allocUnsafeSlow(TAIL_BYTES);
      this.#tailFrom = 0;
      this.#tailTo = 0;
    }
    this.#tailTo += piece.copy(this.#tail, this.#tailTo);
  }

  #endRun(): void {
    if (this.#tailFrom === this.#tailTo) return;
    this.#more?.push(this.#tail.subarray(this.#tailFrom, this.#tailTo));
    this.#tailFrom = this.#tailTo;
  }
}

const EMPTY = Buffer.alloc(0);
/** As many pieces are kept as they came: nearly all bodies have no more. */
const SHARED_MAX = 4;
const SMALL_BYTES = 8 * 1024;
const TAIL_BYTES = 16 * 1024;
