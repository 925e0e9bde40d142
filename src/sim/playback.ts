import type { Cancellation } from "../mesh/cancellation.ts";
import type { ChatEvent } from "../mesh/chunk.ts";
import type { Clock } from "../mesh/clock.ts";
import type { SimParameters } from "./parameters.ts";
import { isContent, type SimStep } from "./steps.ts";

/** Most tokens that are handed over at once when no pace was asked for: 64 kB of text. */
const BURST_TOKENS = 16_384;

/** How to play an answer. */
export interface Playback {
  readonly clock: Clock;
  readonly cancellation: Cancellation;
  readonly steps: readonly SimStep[];
  readonly parameters: SimParameters;
  /** Stops before more tokens than this have been handed over; undefined plays to the end. */
  readonly stopAfter: number | undefined;
  /**
   * Takes a run of events that is worth so many tokens. Resolves when it can take more; undefined
   * means at once.
   */
  deliver(events: ChatEvent[], content: boolean, tokens: number): Promise<void> | undefined;
}

/**
 * Plays the events of an answer at the pace that was asked for: the first at once (whoever plays
 * has waited for it), each other once the tokens before it have had their time. What is due
 * together is delivered together. Returns the tokens that were handed over. Rejects with the cause
 * when cancelled, at once.
 */
export async function play(playback: Playback): Promise<number> {
  const { clock, cancellation, steps, parameters } = playback;
  const stopAfter = playback.stopAfter ?? Number.POSITIVE_INFINITY;
  const startedMs = clock.now();
  let played = 0;
  let at = 0;
  while (at < steps.length) {
    cancellation.throwIfCancelled();
    const due = countDue(parameters, clock.now() - startedMs, played);
    const events: ChatEvent[] = [];
    let content = false;
    const before = played;
    for (let step = steps[at]; step !== undefined; step = steps[++at]) {
      // What weighs nothing, such as the finish, comes along with what it follows.
      if (step.tokens > 0 && played > due) break;
      if (played + step.tokens > stopAfter) break;
      played += step.tokens;
      content ||= isContent(step.event);
      events.push(step.event);
    }
    if (events.length > 0) await playback.deliver(events, content, played - before);
    const next = steps[at];
    if (next !== undefined && played + next.tokens > stopAfter) break;
    if (next !== undefined && parameters.tokensPerSecond > 0) {
      const nextMs = startedMs + (played * 1000) / parameters.tokensPerSecond;
      await waitFor(clock, Math.max(0, nextMs - clock.now()), cancellation);
    }
  }
  return played;
}

/** How many tokens may precede a step that is due now. */
function countDue(parameters: SimParameters, elapsedMs: number, played: number): number {
  if (parameters.tokensPerSecond === 0) return played + BURST_TOKENS;
  // A timer may ring a fraction of a millisecond early; without the allowance the loop would spin
  // until it is due.
  return ((elapsedMs + 0.5) * parameters.tokensPerSecond) / 1000;
}

/**
 * Resolves after `delayMs`, never when that is infinite. Rejects with the cause as soon as the call
 * is cancelled.
 */
export function waitFor(clock: Clock, delayMs: number, cancellation: Cancellation): Promise<void> {
  if (delayMs <= 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const timer = Number.isFinite(delayMs) ? clock.after(delayMs, finish) : undefined;
    const forget = cancellation.onCancel((cause) => {
      timer?.cancel();
      reject(cause);
    });
    function finish(): void {
      forget();
      resolve();
    }
  });
}
