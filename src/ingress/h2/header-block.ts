import { ConnectionError, ErrorCode } from "./frames.ts";

/** Header fields on their way: what HEADERS began and CONTINUATION goes on with. */
export class HeaderBlock {
  /** The stream whose block is incomplete; 0 between blocks. */
  #stream = 0;
  #endsStream = false;
  #pieces: Buffer[] = [];
  #bytes = 0;

  /** The stream whose next piece must come before anything else; 0 for none. */
  get stream(): number {
    return this.#stream;
  }

  get endsStream(): boolean {
    return this.#endsStream;
  }

  begin(stream: number, endsStream: boolean, piece: Buffer): void {
    this.#stream = stream;
    this.#endsStream = endsStream;
    this.add(piece);
  }

  /** Throws ConnectionError when there is no end to it. */
  add(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes <= BLOCK_BYTES_MAX && this.#pieces.length <= PIECES_MAX) return;
    // What is merely too long for us is decoded and refused politely; this is not.
    throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "A header block does not end.");
  }

  /** The whole block; the next one may begin. */
  finish(): Buffer {
    const block = Buffer.concat(this.#pieces);
    this.#stream = 0;
    this.#pieces = [];
    this.#bytes = 0;
    return block;
  }
}

/** Twice what is served; Huffman's code makes a block shorter, hardly ever longer. */
const BLOCK_BYTES_MAX = 64 * 1024;
const PIECES_MAX = 32;
