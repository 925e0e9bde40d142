const KEPT = 5_000;

/** What happened, as lines: the last of them for people, all of them as a hash. */
export class Trace {
  readonly #last: string[] = [];
  readonly #nowMs: () => number;
  #hash = 0x811c9dc5;
  #lines = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  note(line: string): void {
    const whole = `${this.#nowMs().toFixed(3).padStart(12)} ${line}`;
    for (let at = 0; at < whole.length; at += 1) {
      this.#hash = Math.imul(this.#hash ^ whole.charCodeAt(at), 0x01000193);
    }
    this.#lines += 1;
    this.#last.push(whole);
    if (this.#last.length > 2 * KEPT) this.#last.splice(0, KEPT);
  }

  /** The same for two worlds in which the same happened. */
  get hash(): string {
    return `${(this.#hash >>> 0).toString(16).padStart(8, "0")}-${this.#lines}`;
  }

  /** The last lines. */
  tail(lines: number): readonly string[] {
    return this.#last.slice(-lines);
  }
}
