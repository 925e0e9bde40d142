import type { Usage } from "../../../gen/weir/v1/usage_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import { type ChatChunk, type ChatEvent, createEventChunk } from "../../mesh/chunk.ts";
import { asMeshError, type MeshError } from "../../mesh/errors.ts";
import type { JsonObject } from "../../mesh/json.ts";
import type { UpstreamEnd } from "../../mesh/upstream.ts";
import type { StreamReader } from "../dialect.ts";
import { decodeFrames, readFrame } from "../sse.ts";
import { DeltaTemplate } from "./delta-template.ts";
import { estimateUsage } from "./estimate-usage.ts";
import { EventDecoder } from "./event-decoder.ts";
import { PassingReader } from "./passing-reader.ts";
import { StreamFacts } from "./stream-facts.ts";

/**
 * Reads the stream that answers `ask`: passed on when the caller speaks this dialect, else decoded
 * event by event.
 */
export function createStreamReader(ask: ChatAsk): StreamReader {
  return ask.dialect === "openai" ? new PassingReader(ask) : new DecodingReader(ask);
}

/**
 * Decodes each event: those that are like one before but for their text by comparing, all others by
 * one JSON.parse.
 */
class DecodingReader implements StreamReader {
  readonly #facts = new StreamFacts();
  readonly #decoder = new EventDecoder();
  readonly #template = new DeltaTemplate();
  readonly #askBytes: number;
  #events: ChatEvent[] = [];
  #content = false;
  /** The chunk that was parsed last, when the template may learn from it. */
  #lesson: JsonObject | undefined;
  /** True once content has been handed out. */
  #shown = false;
  #fault: MeshError | undefined;

  constructor(ask: ChatAsk) {
    this.#askBytes = ask.bytes;
  }

  get ended(): boolean {
    return this.#facts.done;
  }

  read(frames: Buffer): ChatChunk | undefined {
    if (this.#fault !== undefined) throw this.#fault;
    this.#events = [];
    this.#content = false;
    try {
      this.#readAll(decodeFrames(frames));
    } catch (thrown) {
      // What came before the fault goes on first; but while nothing has been shown, another target
      // may still answer.
      if (!this.#content || !this.#shown) throw thrown;
      this.#fault = asMeshError(thrown);
    }
    if (this.#events.length === 0) return undefined;
    if (this.#content) this.#shown = true;
    const events = this.#events;
    this.#events = [];
    return createEventChunk(events, this.#content);
  }

  end(): UpstreamEnd {
    if (this.#fault !== undefined) throw this.#fault;
    return this.#facts.end();
  }

  partialUsage(): Usage {
    if (this.#facts.usage !== undefined) return this.#facts.usage;
    const { deltas, textCharacters } = this.#decoder;
    return estimateUsage(this.#askBytes, deltas, textCharacters);
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
      // keeps the reader, and it would grow old with all that it has read.
      const end = readFrame(text, at, (_event, data) => this.#take(data));
      if (this.#lesson !== undefined) this.#template.learnChunk(text.slice(at, end), this.#lesson);
      at = end;
    }
  }

  /** One past the frame at `at` when it was taken by comparing; below zero when it must be read. */
  #takeAlike(text: string, at: number): number {
    if (this.#facts.done) return -1;
    const end = this.#template.match(text, at);
    const piece = end < 0 ? undefined : this.#template.readText(text);
    if (piece === undefined) return -1;
    const { choiceIndex, field } = this.#template;
    this.#facts.chunks += 1;
    this.#decoder.addText(
      { choiceIndex, reasoning: field !== "content", text: piece },
      this.#events,
    );
    this.#content = true;
    return end;
  }

  #take(data: string): void {
    if (data === "" || this.#facts.done) return;
    if (data === "[DONE]") {
      this.#facts.done = true;
      return;
    }
    const chunk = this.#facts.parse(data);
    if (!this.#decoder.decode(chunk, this.#events)) return;
    this.#content = true;
    this.#lesson = chunk;
  }
}
