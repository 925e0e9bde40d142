import { StoreError } from "./store.ts";

/** More waiting operations than this mean that the engine no longer keeps up. */
const WAITING_MAX = 10_000;

/** Lets so many operations run at a time, in the order of their coming. */
export class LaneGate {
  readonly #places: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(places: number) {
    this.#places = places;
  }

  /** Rejects with StoreError when too many wait already; else as the task does. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running < this.#places) this.#running += 1;
    else await this.#wait();
    try {
      return await task();
    } finally {
      // The place goes to the next at once, so that nobody who comes just now takes it.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  #wait(): Promise<void> {
    if (this.#waiting.length >= WAITING_MAX) {
      throw new StoreError("The store does not keep up with what is asked: find a faster one.");
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
