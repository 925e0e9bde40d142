import { ErrorCode } from "./frames.ts";
import type { OpenStreams } from "./open-streams.ts";

/** How long a peer may keep a connection waiting, in milliseconds. */
export interface PatienceLimits {
  /** For its first frame. */
  readonly firstByteMs: number;
  /** For the rest of a frame, or of a header block, that it has begun. */
  readonly headersMs: number;
  /** For taking anything of what waits to be sent to it. */
  readonly stallMs: number;
  /** Without a byte and without a stream. */
  readonly idleMs: number;
}

/** How a connection stands when it is looked at. */
export interface Standing {
  readonly settled: boolean;
  readonly midFrame: boolean;
  /** How many frames have come. */
  readonly frames: number;
  readonly blocked: boolean;
  readonly streams: OpenStreams;
}

/**
 * Watches over one connection's silences. It is asked now and then by a sweep over all connections,
 * so that no frame and no stream needs a timer, nor the time.
 */
export class Patience {
  readonly #limits: PatienceLimits;
  readonly #openedMs: number;
  #touched = false;
  #lastTouchMs: number;
  #midFrameMs: number | undefined;
  #frames = 0;
  #blockedMs: number | undefined;

  constructor(limits: PatienceLimits, nowMs: number) {
    this.#limits = limits;
    this.#openedMs = nowMs;
    this.#lastTouchMs = nowMs;
  }

  /** Something moved on the socket. */
  touch(): void {
    this.#touched = true;
  }

  /** Whether to go on, to leave politely, or to cut the connection off. Resets stalled streams. */
  judge(nowMs: number, standing: Standing): "go on" | "leave" | "destroy" {
    const limits = this.#limits;
    const { settled, midFrame, frames, blocked, streams } = standing;
    const moved = this.#touched;
    this.#touched = false;
    if (moved) this.#lastTouchMs = nowMs;
    if (!settled) return nowMs - this.#openedMs >= limits.firstByteMs ? "destroy" : "go on";

    // Who sends much is in the middle of a frame as a rule, but not always of the same one.
    const isSame = midFrame && frames === this.#frames;
    this.#frames = frames;
    this.#midFrameMs = isSame ? (this.#midFrameMs ?? nowMs) : undefined;
    if (isOver(this.#midFrameMs, nowMs, limits.headersMs)) return "destroy";
    this.#blockedMs = blocked && !moved ? (this.#blockedMs ?? nowMs) : undefined;
    if (isOver(this.#blockedMs, nowMs, limits.stallMs)) return "destroy";
    if (streams.size > 0) resetStalled(streams, nowMs, limits.stallMs);
    else if (nowMs - this.#lastTouchMs >= limits.idleMs) return "leave";
    return "go on";
  }
}

/**
 * A peer that opens no window for a stream, or does not end a request that has its answer, shall
 * not make us keep the stream for ever.
 */
function resetStalled(streams: OpenStreams, nowMs: number, stallMs: number): void {
  for (const stream of streams.list()) {
    if (stream.held.length === 0 && !stream.answerSent) continue;
    stream.stalledMs ??= nowMs;
    if (!isOver(stream.stalledMs, nowMs, stallMs)) continue;
    stream.reset(stream.answerSent ? ErrorCode.NO_ERROR : ErrorCode.CANCEL);
  }
}

function isOver(sinceMs: number | undefined, nowMs: number, limitMs: number): boolean {
  return sinceMs !== undefined && nowMs - sinceMs >= limitMs;
}
