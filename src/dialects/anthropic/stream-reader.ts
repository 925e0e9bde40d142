import type { Usage } from "../../../gen/weir/v1/usage_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import { type ChatChunk, type ChatEvent, createEventChunk } from "../../mesh/chunk.ts";
import type { UpstreamEnd } from "../../mesh/upstream.ts";
import type { StreamReader } from "../dialect.ts";
import { readFrames } from "../sse.ts";
import { StreamDecoder } from "./stream-decoder.ts";
import { RelayReader } from "./stream-relay.ts";
import { parseEvent, StreamState } from "./stream-state.ts";

/** A reader of one stream: callers of this dialect get its bytes, all others its events. */
export function createStreamReader(ask: ChatAsk): StreamReader {
  return ask.dialect === "anthropic" ? new RelayReader(ask) : new TranslatingReader(ask);
}

/** Decodes every event of a stream. */
class TranslatingReader implements StreamReader {
  readonly #state: StreamState;
  readonly #decoder = new StreamDecoder();
  #events: ChatEvent[] = [];
  /** Made once, so that a read of the socket costs no closure. */
  readonly #onEvent = (_name: string, data: string): void => {
    const event = parseEvent(data);
    this.#state.note(event);
    this.#state.characters += this.#decoder.decode(event, this.#events);
  };

  constructor(ask: ChatAsk) {
    this.#state = new StreamState(ask.bytes);
  }

  get ended(): boolean {
    return this.#state.ended;
  }

  read(frames: Buffer): ChatChunk | undefined {
    this.#decoder.content = false;
    readFrames(frames, this.#onEvent);
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
}
