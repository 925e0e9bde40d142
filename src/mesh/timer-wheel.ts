import type { Clock, Timer } from "./clock.ts";

/** How late a timer may be, and how often the wheel turns while it has any. */
const TICK_MS = 20;
/** One turn of the wheel takes ten seconds; what is due later is passed over once a turn. */
const SLOTS = 512;
/** Beyond the life of any process, and still a number to calculate with. */
const DELAY_MAX_MS = 1e14;

/**
 * Timers that mostly never fire: each request sets some and cancels them. One of Node's own for
 * each of them is an asynchronous resource, and costs many times as much as the link in a list that
 * it is here. They fire up to 20 ms late and never early.
 */
export class TimerWheel {
  readonly #clock: Pick<Clock, "now" | "every">;
  readonly #slots: Link[] = Array.from({ length: SLOTS }, () => new RingEnd());
  readonly #turn = () => this.#sweep();
  #linked = 0;
  /** Ticks are counted from when the driver started, so that each ends as the driver comes. */
  #startedMs = 0;
  #sweptTick = 0;
  #driver: Timer | undefined;

  /** The clock's `every` turns the wheel. */
  constructor(clock: Pick<Clock, "now" | "every">) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  /** Calls `run` once after `delayMs`. */
  after(delayMs: number, run: () => void): Timer {
    const timer = new WheelTimer(this, Math.min(delayMs, DELAY_MAX_MS), run);
    this.link(timer);
    return timer;
  }

  /** Puts a timer where it is due. */
  link(timer: WheelTimer): void {
    if (this.#driver === undefined) {
      this.#startedMs = this.#clock.now();
      this.#sweptTick = 0;
      this.#driver = this.#clock.every(TICK_MS, this.#turn);
    }
    const slot = this.#slots[(this.#countTicks(timer.dueMs) + 1) % SLOTS];
    if (slot === undefined) return;
    this.#linked += 1;
    timer.previous = slot.previous;
    timer.next = slot;
    slot.previous.next = timer;
    slot.previous = timer;
  }

  unlink(timer: WheelTimer): void {
    this.#linked -= 1;
    timer.previous.next = timer.next;
    timer.next.previous = timer.previous;
    timer.previous = timer;
    timer.next = timer;
  }

  #countTicks(untilMs: number): number {
    return Math.floor((untilMs - this.#startedMs) / TICK_MS);
  }

  #sweep(): void {
    const nowMs = this.#clock.now();
    const tick = this.#countTicks(nowMs);
    const from = Math.max(this.#sweptTick + 1, tick - SLOTS + 1);
    this.#sweptTick = tick;
    for (let at = from; at <= tick; at++) {
      const slot = this.#slots[at % SLOTS];
      if (slot !== undefined && slot.next !== slot) this.#empty(slot, nowMs);
    }
    if (this.#linked > 0) return;
    this.#driver?.cancel();
    this.#driver = undefined;
  }

  /**
   * Fires what is due, and puts what was refreshed where it belongs now. Timers may come and go
   * meanwhile, so that the slot is read from its begin each time, up to the last that was there.
   */
  #empty(slot: Link, nowMs: number): void {
    const end = new RingEnd();
    end.previous = slot.previous;
    end.next = slot.next;
    slot.previous.next = end;
    slot.next.previous = end;
    slot.previous = slot;
    slot.next = slot;
    try {
      for (let first = end.next; first instanceof WheelTimer; first = end.next) {
        this.unlink(first);
        if (first.dueMs > nowMs) this.link(first);
        else first.run();
      }
    } finally {
      // One that threw must not take the others with it.
      for (let first = end.next; first instanceof WheelTimer; first = end.next) {
        this.unlink(first);
        this.link(first);
      }
    }
  }
}

/** A place in a ring; one that points to itself is alone. */
interface Link {
  previous: Link;
  next: Link;
}

class RingEnd implements Link {
  previous: Link = this;
  next: Link = this;
}

/** Of use to the wheel alone. */
class WheelTimer implements Timer, Link {
  previous: Link = this;
  next: Link = this;
  dueMs: number;
  run: () => void;
  readonly #wheel: TimerWheel;
  #delayMs: number;

  constructor(wheel: TimerWheel, delayMs: number, run: () => void) {
    this.#wheel = wheel;
    this.#delayMs = delayMs;
    this.dueMs = wheel.now() + delayMs;
    this.run = run;
  }

  /** One that is in the wheel stays where it is until it is found there not to be due. */
  refresh(): void {
    if (this.#delayMs < 0) return;
    this.dueMs = this.#wheel.now() + this.#delayMs;
    if (this.next === this) this.#wheel.link(this);
  }

  cancel(): void {
    this.#delayMs = -1;
    this.run = ignore;
    if (this.next !== this) this.#wheel.unlink(this);
  }
}

function ignore(): void {}
