import type { ChatChunk, ChatEvent } from "../mesh/chunk.ts";
import type { Reservation } from "../mesh/quota.ts";

/**
 * Counts a bound of what an answer has produced, and has the quota room cover it before it goes on:
 * a token for each byte, and some for what has no words.
 */
export class OutputGuard {
  /** Answers that have ended, by their numbers, as far as their events were seen. */
  readonly finished = new Set<number>();
  /** True when some of it went on as it came, so that nobody has read where its answers end. */
  passedOn = false;
  readonly #reservation: Reservation;
  #most = 0;

  constructor(reservation: Reservation) {
    this.#reservation = reservation;
  }

  /** As Reservation.cover(), for a chunk more; counted only when it is covered. */
  admit(chunk: ChatChunk): boolean | Promise<void> {
    const most = this.#most + this.#measure(chunk);
    const covered = this.#reservation.cover?.(most) ?? true;
    if (covered === true) this.#most = most;
    return covered;
  }

  #measure(chunk: ChatChunk): number {
    if (chunk.producedMost === undefined) return this.#sum(chunk.events());
    this.passedOn = true;
    return chunk.producedMost();
  }

  #sum(events: readonly ChatEvent[]): number {
    let sum = 0;
    for (const event of events) {
      if (event.case === "choiceFinished") this.finished.add(event.value.choiceIndex);
      sum += boundEvent(event);
    }
    return sum;
  }
}

/** What an event takes beyond its words. */
const EVENT_TOKENS = 8;

function boundEvent(event: ChatEvent): number {
  switch (event.case) {
    case "textDelta":
    case "refusalDelta":
      return Buffer.byteLength(event.value.text);
    case "reasoningDelta":
      return Buffer.byteLength(event.value.text) + event.value.redacted.length;
    case "toolCallArgumentsDelta":
      return Buffer.byteLength(event.value.arguments);
    case "toolCallStarted":
      return Buffer.byteLength(event.value.name) + event.value.id.length + 4 * EVENT_TOKENS;
    case "audioDelta":
      return event.value.data.length + Buffer.byteLength(event.value.transcript);
    case "vendorPartAdded":
      return Buffer.byteLength(event.value.part?.json ?? "") + EVENT_TOKENS;
    default:
      return EVENT_TOKENS;
  }
}
