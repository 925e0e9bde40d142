import type { Usage } from "../../../gen/weir/v1/usage_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import type { ChatChunk, ChatEvent } from "../../mesh/chunk.ts";
import type { UpstreamEnd } from "../../mesh/upstream.ts";
import type { StreamReader } from "../dialect.ts";
import { PassedChunk } from "../passed-chunk.ts";
import { readFrames, writeFrame } from "../sse.ts";
import { StreamDecoder } from "./stream-decoder.ts";
import { CHARACTERS_PER_TOKEN, parseEvent, StreamState } from "./stream-state.ts";

/** In the name of each event about the whole message. */
const MESSAGE_EVENT = Buffer.from("message_");
/**
 * An error, by its event name or, where a server names no events, by its type; both ways to write a
 * colon.
 */
const ERROR_EVENTS = ["event: error", "event:error", '"type":"error"', '"type": "error"'].map(
  (needle) => Buffer.from(needle),
);
const MESSAGE_STOP = Buffer.from("message_stop");
const CR = 0x0d;
const LF_LF = Buffer.from("\n\n");
/** What an event costs around its content, in bytes, about. */
const FRAME_BYTES = 120;

/**
 * Passes the bytes of a stream on. Until the first content each event is parsed; afterwards bytes
 * are only searched for the events that tell of the whole message, and what holds one is parsed.
 */
export class RelayReader implements StreamReader {
  readonly #state: StreamState;
  /** Decodes for whoever wants events. Chunks are to be decoded in order, from the first. */
  readonly #decoder = new StreamDecoder();
  /** Looks for the first content; undefined afterwards. */
  #scout: StreamDecoder | undefined = new StreamDecoder();
  readonly #discarded: ChatEvent[] = [];

  constructor(ask: ChatAsk) {
    this.#state = new StreamState(ask.bytes);
  }

  get ended(): boolean {
    return this.#state.ended;
  }

  read(frames: Buffer): ChatChunk | undefined {
    if (this.#scout !== undefined) return this.#scan(frames, this.#scout);
    this.#state.characters += estimateCharacters(frames);
    if (!holdsMessageEvent(frames)) return this.#relay(frames, true);
    readFrames(frames, (_name, data) => this.#take(data));
    return this.#pass(frames, true);
  }

  end(): UpstreamEnd {
    return this.#state.end();
  }

  partialUsage(): Usage {
    return this.#state.partialUsage();
  }

  #take(data: string): void {
    const event = parseEvent(data);
    this.#state.note(event);
    if (this.#scout === undefined) return;
    this.#state.characters += this.#scout.decode(event, this.#discarded);
  }

  #scan(frames: Buffer, scout: StreamDecoder): ChatChunk | undefined {
    readFrames(frames, (_name, data) => this.#take(data));
    this.#discarded.length = 0;
    if (scout.content) this.#scout = undefined;
    return this.#pass(frames, scout.content);
  }

  #pass(frames: Buffer, content: boolean): ChatChunk | undefined {
    const bytes = this.#state.ended ? cutMessageStop(frames) : frames;
    return bytes.length === 0 ? undefined : this.#relay(bytes, content);
  }

  #relay(bytes: Buffer, content: boolean): ChatChunk {
    return new PassedChunk({ dialect: "anthropic", bytes }, content, this.#decoder);
  }
}

function holdsMessageEvent(frames: Buffer): boolean {
  if (frames.indexOf(MESSAGE_EVENT) >= 0) return true;
  for (const needle of ERROR_EVENTS) if (frames.indexOf(needle) >= 0) return true;
  return false;
}

/**
 * The frames but for the one of `message_stop`, which the door writes; whatever stands behind it
 * goes too.
 */
function cutMessageStop(frames: Buffer): Buffer {
  if (frames.indexOf(CR) >= 0) return rewriteWithoutStop(frames);
  const at = frames.lastIndexOf(MESSAGE_STOP);
  // The name stands in the event line and in the data of one frame: the blank line before both
  // ends the frame before.
  const before = at < 0 ? -1 : frames.lastIndexOf(LF_LF, at);
  return before < 0 ? frames.subarray(0, 0) : frames.subarray(0, before + LF_LF.length);
}

/** For servers that end lines otherwise: their last frames are written anew. */
function rewriteWithoutStop(frames: Buffer): Buffer {
  let text = "";
  readFrames(frames, (name, data) => {
    if (parseEvent(data).type !== "message_stop") text += writeFrame(name, data);
  });
  return Buffer.from(text);
}

/**
 * About how many characters of content the frames hold, without parsing them: a token for each
 * frame at least.
 */
function estimateCharacters(frames: Buffer): number {
  let count = 0;
  for (let at = frames.indexOf(LF_LF); at >= 0; at = frames.indexOf(LF_LF, at + 2)) count++;
  return Math.max(frames.length - FRAME_BYTES * count, CHARACTERS_PER_TOKEN * count);
}
