import type { Decision } from "../../../gen/weir/v1/chat_pb.ts";
import type { Cancellation } from "../../mesh/cancellation.ts";
import type { ChatChunk, ChatEvent } from "../../mesh/chunk.ts";
import type { ChatSink } from "../../mesh/sink.ts";
import { createStartedEvent } from "./chat-events.ts";

/** More events than this in the channel, and the producer has to wait. */
export const CHANNEL_EVENTS_MAX = 64;

/**
 * A sink that is read from: what the handler pushes, a generator pulls. It holds CHANNEL_EVENTS_MAX
 * events and the rest of one chunk at most, as long as its producer keeps to the contract of
 * ChatSink.
 */
export class ChannelSink implements ChatSink {
  readonly #cancellation: Cancellation;
  #events: ChatEvent[] = [];
  #closed = false;
  #error: unknown;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;
  #decision: Decision | undefined;

  constructor(cancellation: Cancellation) {
    this.#cancellation = cancellation;
  }

  /** Who answers, once that is known. */
  get decision(): Decision | undefined {
    return this.#decision;
  }

  start(decision: Decision): void {
    this.#decision = decision;
    this.#push(createStartedEvent(decision));
  }

  chunk(chunk: ChatChunk): boolean {
    for (const event of chunk.events()) this.#push(event);
    return this.#events.length < CHANNEL_EVENTS_MAX;
  }

  ready(): Promise<void> {
    const { cause } = this.#cancellation;
    if (cause !== undefined) return Promise.reject(cause);
    if (this.#events.length < CHANNEL_EVENTS_MAX) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const stop = this.#cancellation.onCancel(reject);
      this.#wakeWriter = () => {
        stop();
        resolve();
      };
    });
  }

  /** Ends the channel after what is in it; the last event goes through `last`. */
  close(last: ChatEvent): void {
    this.#push(last);
    this.#closed = true;
    this.#wake();
  }

  /** Ends the channel with an error, which the reader meets after what is in it. */
  fail(error: unknown): void {
    this.#error = error;
    this.#closed = true;
    this.#wake();
  }

  /**
   * The events that have come, at least one; undefined at the end. Rejects with the error of
   * `fail()`.
   */
  async take(): Promise<ChatEvent[] | undefined> {
    while (this.#events.length === 0) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#closed) return undefined;
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
    const events = this.#events;
    this.#events = [];
    const wake = this.#wakeWriter;
    this.#wakeWriter = undefined;
    wake?.();
    return events;
  }

  #push(event: ChatEvent): void {
    this.#events.push(event);
    this.#wake();
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }
}
