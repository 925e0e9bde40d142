import type { Usage } from "../../../gen/weir/v1/usage_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import { type ChatChunk, type ChatEvent, createEventChunk } from "../../mesh/chunk.ts";
import { asMeshError, type MeshError } from "../../mesh/errors.ts";
import type { UpstreamEnd } from "../../mesh/upstream.ts";
import type { StreamReader } from "../dialect.ts";
import { readFrames } from "../sse.ts";
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

/** Decodes each event: one JSON.parse, then plain literals. */
class DecodingReader implements StreamReader {
  readonly #facts = new StreamFacts();
  readonly #decoder = new EventDecoder();
  readonly #askBytes: number;
  readonly #onEvent: (event: string, data: string) => void;
  #events: ChatEvent[] = [];
  #content = false;
  /** True once content has been handed out. */
  #shown = false;
  #fault: MeshError | undefined;

  constructor(ask: ChatAsk) {
    this.#askBytes = ask.bytes;
    this.#onEvent = (_event, data) => this.#take(data);
  }

  get ended(): boolean {
    return this.#facts.done;
  }

  read(frames: Buffer): ChatChunk | undefined {
    if (this.#fault !== undefined) throw this.#fault;
    this.#events = [];
    this.#content = false;
    try {
      readFrames(frames, this.#onEvent);
    } catch (thrown) {
      // What came before the fault goes on first; but while nothing has been shown, another target
      // may still answer.
      if (!this.#content || !this.#shown) throw thrown;
      this.#fault = asMeshError(thrown);
    }
    if (this.#events.length === 0) return undefined;
    if (this.#content) this.#shown = true;
    return createEventChunk(this.#events, this.#content);
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

  #take(data: string): void {
    if (data === "" || this.#facts.done) return;
    if (data === "[DONE]") {
      this.#facts.done = true;
      return;
    }
    const chunk = this.#facts.parse(data);
    if (this.#decoder.decode(chunk, this.#events)) this.#content = true;
  }
}
