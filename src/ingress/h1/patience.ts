import type { Socket } from "node:net";

/** How long a peer may keep a connection waiting, in milliseconds. */
export interface PatienceLimits {
  /** For the head of a request, from its first byte. */
  readonly headersMs: number;
  /** For a whole request, its body included; and for taking anything of an answer. */
  readonly requestMs: number;
  /** Between two requests. */
  readonly idleMs: number;
}

/** What a connection waits for. */
export const Phase = {
  /** A request. */
  IDLE: 0,
  /** The rest of a head. A new connection begins here. */
  HEAD: 1,
  /** The rest of a body. */
  BODY: 2,
  /** An answer of ours. */
  ANSWER: 3,
  /** Its end: it is closing or closed, and what comes in is thrown away. */
  DONE: 4,
} as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/**
 * Watches over one connection's silences. It is asked now and then by a sweep over all connections,
 * so that no request needs a timer, nor the time.
 */
export class Patience {
  readonly #socket: Socket;
  readonly #limits: PatienceLimits;
  #round = 0;
  #roundSeen = -1;
  #sinceMs = 0;
  #watchesStall = false;

  constructor(socket: Socket, limits: PatienceLimits) {
    this.#socket = socket;
    this.#limits = limits;
  }

  /** Counts up with each request that begins, and with each that is over. */
  get round(): number {
    return this.#round;
  }

  /** The wait begins anew: for a request, or for the next one. */
  begin(): void {
    this.#round += 1;
  }

  /** Whether the peer has been waited for long enough. */
  isOver(nowMs: number, phase: Phase): boolean {
    this.#watchStall();
    if (this.#round !== this.#roundSeen) {
      this.#roundSeen = this.#round;
      this.#sinceMs = nowMs;
      return false;
    }
    const waitedMs = nowMs - this.#sinceMs;
    const { headersMs, requestMs, idleMs } = this.#limits;
    if (phase === Phase.IDLE) return waitedMs >= idleMs;
    if (phase === Phase.HEAD) return waitedMs >= Math.min(headersMs, requestMs);
    return phase === Phase.BODY && waitedMs >= requestMs;
  }

  /**
   * Has the socket itself watch over a peer that takes nothing of what it asked for: it alone knows
   * whether some of a long write has left.
   */
  #watchStall(): void {
    const socket = this.#socket;
    const waits = socket.writableLength > 0;
    if (waits === this.#watchesStall) return;
    this.#watchesStall = waits;
    if (waits) socket.setTimeout(this.#limits.requestMs, cutOff);
    else {
      socket.setTimeout(0);
      socket.removeListener("timeout", cutOff);
    }
  }
}

function cutOff(this: Socket): void {
  this.destroy();
}
