import type { Usage } from "../../../gen/weir/v1/usage_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import { type ChatChunk, type ChatEvent, createEventChunk } from "../../mesh/chunk.ts";
import type { JsonObject } from "../../mesh/json.ts";
import type { UpstreamEnd } from "../../mesh/upstream.ts";
import type { StreamReader } from "../dialect.ts";
import { decodeFrames, readFrame } from "../sse.ts";
import { DeltaTemplate } from "./delta-template.ts";
import { StreamDecoder } from "./stream-decoder.ts";
import { RelayReader } from "./stream-relay.ts";
import { parseEvent, StreamState } from "./stream-state.ts";

/** A reader of one stream: callers of this dialect get its bytes, all others its events. */
export function createStreamReader(ask: ChatAsk): StreamReader {
  return ask.dialect === "anthropic" ? new RelayReader(ask) : new TranslatingReader(ask);
}

/**
 * Decodes every event of a stream: those that are like one before but for their text by comparing,
 * all others by parsing.
 */
class TranslatingReader implements StreamReader {
  readonly #state: StreamState;
  readonly #decoder = new StreamDecoder();
  readonly #template = new DeltaTemplate();
  #events: ChatEvent[] = [];
  /** The event that was parsed last. */
  #lesson: JsonObject | undefined;

  constructor(ask: ChatAsk) {
    this.#state = new StreamState(ask.bytes);
  }

  get ended(): boolean {
    return this.#state.ended;
  }

  read(frames: Buffer): ChatChunk | undefined {
    this.#decoder.content = false;
    this.#readAll(decodeFrames(frames));
    const events = this.#events;
    const { content } = this.#decoder;
    if (events.length === 0 && !content) return undefined;
    this.#events = [];
    return createEventChunk(events, content);
  }

  end(): UpstreamEnd {
    return this.#state.end();
  }

  partialUsage(): Usage {
    return this.#state.partialUsage();
  }

  #readAll(text: string): void {
    let at = 0;
    while (at < text.length) {
      const next = this.#takeAlike(text, at);
      if (next >= 0) {
        at = next;
        continue;
      }
      this.#lesson = undefined;
      // One of its own for each of the few frames that come here: a function that a reader keeps
      // keeps the reader, and both would grow old.
      const end = readFrame(text, at, (_name, data) => this.#take(data));
      if (this.#lesson !== undefined) this.#template.learnEvent(text.slice(at, end), this.#lesson);
      at = end;
    }
  }

  #take(data: string): void {
    const event = parseEvent(data);
    this.#lesson = event;
    this.#state.note(event);
    this.#state.characters += this.#decoder.decode(event, this.#events);
  }

  /** One past the frame at `at` when it was taken by comparing; below zero when it must be read. */
  #takeAlike(frames: string, at: number): number {
    const end = this.#template.match(frames, at);
    const text = end < 0 ? undefined : this.#template.readText(frames);
    if (text === undefined) return -1;
    const { field, index } = this.#template;
    this.#state.characters += this.#decoder.addPiece({ field, index, text }, this.#events);
    return end;
  }
}
