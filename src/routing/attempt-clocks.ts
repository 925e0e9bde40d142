import type { Timeouts } from "../../gen/weir/admin/v1/model_pb.ts";
import type { Cancellation } from "../mesh/cancellation.ts";
import type { Clock, Timer } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";

/** The three clocks of an attempt, in milliseconds. */
export interface ClockLimits {
  /** Until the first content. */
  readonly firstTokenMs: number;
  /** Between two reads, once content flows. */
  readonly idleMs: number;
  /** The whole attempt. */
  readonly totalMs: number;
}

const defaults: ClockLimits = { firstTokenMs: 60_000, idleMs: 60_000, totalMs: 600_000 };

/**
 * A model's limits, with the defaults filled in. A whole answer comes at once, so only its total
 * time can be judged.
 */
export function readClockLimits(timeouts: Timeouts | undefined, streamed: boolean): ClockLimits {
  const totalMs = milliseconds(timeouts?.total) ?? defaults.totalMs;
  if (!streamed) return { firstTokenMs: totalMs, idleMs: totalMs, totalMs };
  return {
    firstTokenMs: milliseconds(timeouts?.firstToken) ?? defaults.firstTokenMs,
    idleMs: milliseconds(timeouts?.idle) ?? defaults.idleMs,
    totalMs,
  };
}

/** Watches one attempt and ends it with UPSTREAM_TIMEOUT when a clock runs out. */
export class AttemptClocks {
  readonly #clock: Clock;
  readonly #limits: ClockLimits;
  readonly #cancellation: Cancellation;
  readonly #total: Timer;
  /** Undefined when silence may last as long as the whole. */
  #silence: Timer | undefined;
  #committed = false;
  #paused = false;

  constructor(clock: Clock, limits: ClockLimits, cancellation: Cancellation) {
    this.#clock = clock;
    this.#limits = limits;
    this.#cancellation = cancellation;
    const { firstTokenMs, totalMs } = limits;
    this.#total = clock.after(totalMs, () => this.#end("total", totalMs));
    if (firstTokenMs < totalMs) this.#listen(firstTokenMs);
  }

  /** Content begins to flow: the idle clock takes over. */
  commit(): void {
    const { firstTokenMs, idleMs, totalMs } = this.#limits;
    this.#committed = true;
    if (this.#silence !== undefined && idleMs === firstTokenMs) {
      this.#silence.refresh();
      return;
    }
    this.#silence?.cancel();
    this.#silence = undefined;
    if (idleMs < totalMs) this.#listen(idleMs);
  }

  /** Something came. */
  progress(): void {
    this.#silence?.refresh();
  }

  /** The caller is behind: silence is its doing now. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#silence?.refresh();
  }

  stop(): void {
    this.#silence?.cancel();
    this.#total.cancel();
  }

  #listen(limitMs: number): void {
    this.#silence = this.#clock.after(limitMs, () => this.#endSilence());
  }

  #endSilence(): void {
    const { firstTokenMs, idleMs } = this.#limits;
    if (this.#paused) this.#silence?.refresh();
    else if (this.#committed) this.#end("idle", idleMs);
    else this.#end("first token", firstTokenMs);
  }

  #end(which: string, limitMs: number): void {
    this.#cancellation.cancel(
      new MeshError("UPSTREAM_TIMEOUT", "The model took too long to answer. Try again.", {
        internal: `the ${which} clock of ${limitMs} ms ran out`,
      }),
    );
  }
}

function milliseconds(
  duration: { seconds: bigint; nanos: number } | undefined,
): number | undefined {
  return duration && Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}
