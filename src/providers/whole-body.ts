import { MeshError } from "../mesh/errors.ts";
import type { AnswerBody, BodyFlow } from "./answer-body.ts";

/** Collects a body and hands it over whole. */
export class WholeBody implements AnswerBody {
  readonly #flow: BodyFlow;
  readonly #bytesMax: number;
  readonly #take: (body: Buffer) => void;
  #pieces: Buffer[] = [];
  #bytes = 0;

  /**
   * `take` must not throw. A body of more than `bytesMax` fails the exchange with UPSTREAM_GARBLED.
   */
  constructor(flow: BodyFlow, bytesMax: number, take: (body: Buffer) => void) {
    this.#flow = flow;
    this.#bytesMax = bytesMax;
    this.#take = take;
  }

  push(bytes: Buffer): void {
    this.#bytes += bytes.length;
    if (this.#bytes <= this.#bytesMax) {
      this.#pieces.push(bytes);
      return;
    }
    this.#pieces = [];
    this.#flow.fail(
      new MeshError("UPSTREAM_GARBLED", "The upstream's answer is too long. Ask for less.", {
        internal: `the body has more than ${this.#bytesMax} bytes`,
      }),
    );
  }

  end(): void {
    const [first] = this.#pieces;
    const whole = this.#pieces.length === 1 && first !== undefined ? first : undefined;
    this.#take(whole ?? Buffer.concat(this.#pieces));
  }

  drop(): void {
    this.#pieces = [];
  }
}

/**
 * Collects the first `bytesMax` bytes of a body and passes over the rest: enough to read an error
 * from.
 */
export class HeadOfBody implements AnswerBody {
  readonly #bytesMax: number;
  readonly #take: (body: Buffer) => void;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #taken = false;

  /** `take` must not throw; it is called once, as soon as the head is full or the body ends. */
  constructor(bytesMax: number, take: (body: Buffer) => void) {
    this.#bytesMax = bytesMax;
    this.#take = take;
  }

  push(bytes: Buffer): void {
    if (this.#taken) return;
    this.#pieces.push(bytes.subarray(0, this.#bytesMax - this.#bytes));
    this.#bytes += bytes.length;
    if (this.#bytes >= this.#bytesMax) this.end();
  }

  end(): void {
    if (this.#taken) return;
    this.#taken = true;
    this.#take(Buffer.concat(this.#pieces));
  }

  drop(): void {
    this.#taken = true;
    this.#pieces = [];
  }
}
