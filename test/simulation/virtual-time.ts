import type { Clock, Timer } from "../../src/mesh/clock.ts";

/** The one true time of a simulated world, and what is to happen in it, in order. */
export class VirtualTime {
  readonly #heap: Happening[] = [];
  #nowMs = 0;
  #lastOrder = 0;
  #happened = 0;
  /** True to let nothing more happen. */
  isHalted = false;

  /** Milliseconds since the world began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many things have happened. */
  get happened(): number {
    return this.#happened;
  }

  /** Lets `run` happen after a delay; what is due at one moment happens in the order of asking. */
  schedule(delayMs: number, run: () => void): Happening {
    this.#lastOrder += 1;
    const atMs = this.#nowMs + Math.max(0, delayMs);
    const happening = { atMs, order: this.#lastOrder, run, cancelled: false };
    push(this.#heap, happening);
    return happening;
  }

  /**
   * Lets everything happen that is due until `endMs`. Promises settle between two happenings, all
   * of them: a turn of the macrotask queue outlasts every microtask. Rejects with what a happening
   * throws.
   */
  runUntil(endMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn = () => {
        const next = this.#next(endMs);
        if (next === undefined) {
          this.#nowMs = endMs;
          resolve();
          return;
        }
        this.#nowMs = next.atMs;
        this.#happened += 1;
        try {
          next.run();
          if (this.isHalted) throw new Halted();
        } catch (error) {
          reject(error);
          return;
        }
        setImmediate(turn);
      };
      setImmediate(turn);
    });
  }

  #next(endMs: number): Happening | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.atMs > endMs) return undefined;
      pop(this.#heap);
      if (!first.cancelled) return first;
    }
  }
}

/** The world was halted while it ran. */
export class Halted extends Error {}

/** Something that is to happen. */
export interface Happening {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

export interface NodeClockOptions {
  /** What the machine's clock on the wall shows when the world begins. */
  readonly wallAtStartMs: number;
  /** Where its monotonic clock stands when the world begins. */
  readonly originMs: number;
}

/** The clock of one process. After `stop()` no timer of it fires any more. */
export class NodeClock implements Clock {
  readonly #time: VirtualTime;
  readonly #originMs: number;
  #wallAtStartMs: number;
  #stopped = false;

  constructor(time: VirtualTime, options: NodeClockOptions) {
    this.#time = time;
    this.#originMs = options.originMs;
    this.#wallAtStartMs = options.wallAtStartMs;
  }

  now(): number {
    return this.#originMs + this.#time.nowMs;
  }

  wallMs(): number {
    return Math.floor(this.#wallAtStartMs + this.#time.nowMs);
  }

  /** Somebody sets the clock on the wall. */
  jump(byMs: number): void {
    this.#wallAtStartMs += byMs;
  }

  stop(): void {
    this.#stopped = true;
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#add(delayMs, run, false);
  }

  every(intervalMs: number, run: () => void): Timer {
    return this.#add(Math.max(1, intervalMs), run, true);
  }

  #add(delayMs: number, run: () => void, repeats: boolean): Timer {
    let pending: Happening | undefined;
    const fire = () => {
      if (this.#stopped) return;
      pending = repeats ? this.#time.schedule(delayMs, fire) : undefined;
      try {
        run();
      } catch (error) {
        // Its process was killed in the middle of it.
        if (!this.#stopped) throw error;
      }
    };
    const cancel = () => {
      if (pending !== undefined) pending.cancelled = true;
      pending = undefined;
    };
    const refresh = () => {
      cancel();
      if (!this.#stopped) pending = this.#time.schedule(delayMs, fire);
    };
    refresh();
    return { refresh, cancel };
  }
}

function isBefore(a: Happening, b: Happening): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function push(heap: Happening[], happening: Happening): void {
  let at = heap.length;
  heap.push(happening);
  while (at > 0) {
    const above = (at - 1) >> 1;
    const parent = heap[above];
    if (parent === undefined || !isBefore(happening, parent)) break;
    heap[at] = parent;
    at = above;
  }
  heap[at] = happening;
}

function pop(heap: Happening[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    const left = heap[2 * at + 1];
    const right = heap[2 * at + 2];
    const isRight = left !== undefined && right !== undefined && isBefore(right, left);
    const least = isRight ? right : left;
    if (least === undefined || !isBefore(least, last)) break;
    heap[at] = least;
    at = 2 * at + (isRight ? 2 : 1);
  }
  heap[at] = last;
}
