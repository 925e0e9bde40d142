import type { Decision } from "../../../../gen/weir/v1/chat_pb.ts";
import type { ChatChunk, ChatEvent } from "../../../mesh/chunk.ts";
import type { Outcome } from "../../../mesh/outcome.ts";
import type { ChatSink } from "../../../mesh/sink.ts";
import { createFinishedEvent, createStartedEvent } from "../chat-events.ts";

/** Where the events of a stream go: one write a call, and `ready()` when that is behind. */
export interface EventExchange {
  start(decision: Decision, cost: undefined): void;
  write(frames: Buffer): boolean;
  ready(): Promise<void>;
  finish(lastFrames: Buffer): void;
}

/** Events as bytes, with `before` in front of them. */
export type FrameEvents = (events: readonly ChatEvent[], before?: Buffer) => Buffer;

/** Writes the events of each chunk at once, in one write. */
export class EventSink implements ChatSink {
  readonly #exchange: EventExchange;
  readonly #frame: FrameEvents;
  #started = false;
  /**
   * `started`, which goes out together with the first chunk: a write fewer is worth more than any
   * codec.
   */
  #held: Buffer | undefined;
  /** The last chunk, which goes out together with `finished`. */
  #last: Buffer | undefined;

  constructor(exchange: EventExchange, frame: FrameEvents) {
    this.#exchange = exchange;
    this.#frame = frame;
  }

  start(decision: Decision): void {
    this.#begin(decision);
    // The first chunk follows within this turn as a rule; when it does not, the caller must not
    // wait for it.
    process.nextTick(flushStarted, this);
  }

  chunk(chunk: ChatChunk, last?: boolean): boolean {
    const held = this.#held;
    this.#held = undefined;
    const frames = this.#frame(chunk.events(), held);
    if (last === true) {
      this.#last = frames;
      return true;
    }
    return frames.length === 0 || this.#exchange.write(frames);
  }

  ready(): Promise<void> {
    return this.#exchange.ready();
  }

  /** Ends the stream well. */
  finish(outcome: Outcome): void {
    if (!this.#started) this.#begin(outcome.decision);
    const held = this.#last ?? this.#held;
    this.#last = undefined;
    this.#held = undefined;
    this.#exchange.finish(this.#frame([createFinishedEvent(outcome)], held));
  }

  /** Sends `started` when no chunk has taken it along. */
  flushStarted(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.#exchange.write(held);
  }

  /** Sends what waits for an end that will not come. */
  flush(): void {
    this.flushStarted();
    const last = this.#last;
    this.#last = undefined;
    if (last !== undefined && last.length > 0) this.#exchange.write(last);
  }

  #begin(decision: Decision): void {
    this.#started = true;
    this.#exchange.start(decision, undefined);
    this.#held = this.#frame([createStartedEvent(decision)]);
  }
}

function flushStarted(sink: EventSink): void {
  sink.flushStarted();
}
