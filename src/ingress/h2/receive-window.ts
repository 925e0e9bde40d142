/** How much a peer may still send, on a stream or on the whole connection. */
export class ReceiveWindow {
  readonly #size: number;
  /** As the peer counts it. */
  #left: number;
  /** Used up by now, and not yet given back. */
  #consumed = 0;

  constructor(size: number) {
    this.#size = size;
    this.#left = size;
  }

  /** Books what arrived. False when the peer has sent more than it might. */
  take(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /**
   * Books what was used up. Returns by how much to open the window again: nothing until half of it
   * is gone, so that small requests cost no frame.
   */
  consume(bytes: number): number {
    this.#consumed += bytes;
    if (this.#consumed * 2 < this.#size) return 0;
    const opened = this.#consumed;
    this.#consumed = 0;
    this.#left += opened;
    return opened;
  }
}
