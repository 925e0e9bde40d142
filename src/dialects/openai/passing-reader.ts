import type { Usage } from "../../../gen/weir/v1/usage_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import type { ChatChunk, ChatEvent, WireForm } from "../../mesh/chunk.ts";
import { asMeshError, type MeshError } from "../../mesh/errors.ts";
import { isJsonObject, type JsonObject } from "../../mesh/json.ts";
import type { UpstreamEnd } from "../../mesh/upstream.ts";
import type { StreamReader } from "../dialect.ts";
import { readFrames } from "../sse.ts";
import { estimateUsage } from "./estimate-usage.ts";
import { EventDecoder, hasContent } from "./event-decoder.ts";
import { isJsonArray } from "./field.ts";
import { countLikeFrames, findFrameEnd, normaliseLineEnds } from "./frame-scan.ts";
import { StreamFacts } from "./stream-facts.ts";
import { asksUsage } from "./write-request.ts";

/** What becomes of a frame. */
type Verdict = "keep" | "content" | "drop";

/** How a frame begins, such as `data: {"id`: an error's frame begins otherwise. */
const PREFIX_BYTES = 10;

/**
 * Keys whose last letters no text can hold, since a text's quotes are escaped; `_` is rare, so the
 * search is quick.
 */
const needles = {
  finish: [Buffer.from('_reason":"'), Buffer.from('_reason": "')],
  usage: Buffer.from('_tokens":'),
  spaced: Buffer.from('"choices": '),
  blank: Buffer.from("\n\n"),
} as const;

/**
 * Passes the upstream's bytes on. Frames are parsed until the first content has come, and again
 * from the one that ends the answer; between these only their beginnings are compared, and two byte
 * searches tell whether the end has come.
 */
export class PassingReader implements StreamReader {
  readonly #facts = new StreamFacts();
  readonly #decoder = new EventDecoder();
  readonly #askBytes: number;
  readonly #passUsage: boolean;
  readonly #onEvent: (event: string, data: string) => void;
  /** The beginning of the first frame with content; undefined until it has come. */
  #prefix: Buffer | undefined;
  #finishNeedle: Buffer = needles.finish[0];
  /** True from the first content until something like an end comes: frames are not parsed. */
  #coasting = false;
  #contentFrames = 0;
  #contentBytes = 0;
  /** Bytes of a frame beside its text, as the first one had them. */
  #frameOverhead = 0;
  /** The last run that was not parsed: an end that was told in an unknown way may be in it. */
  #unread: Buffer | undefined;
  #fault: MeshError | undefined;
  /** What the frame that is being read has told. */
  #verdict: Verdict = "keep";

  constructor(ask: ChatAsk) {
    this.#askBytes = ask.bytes;
    this.#passUsage = asksUsage(ask.wire);
    this.#onEvent = (_event, data) => this.#judge(data);
  }

  get ended(): boolean {
    return this.#facts.done;
  }

  read(frames: Buffer): ChatChunk | undefined {
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#coasting && this.#coast(frames)) {
      return new PassedChunk(frames, true, this.#decoder);
    }
    return this.#readClosely(normaliseLineEnds(frames));
  }

  end(): UpstreamEnd {
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#facts.finish === undefined && this.#unread !== undefined) {
      readFrames(this.#unread, this.#onEvent);
    }
    return this.#facts.end();
  }

  partialUsage(): Usage {
    if (this.#facts.usage !== undefined) return this.#facts.usage;
    const text = this.#contentBytes - this.#contentFrames * this.#frameOverhead;
    return estimateUsage(this.#askBytes, this.#contentFrames, Math.max(0, text));
  }

  /** Whether a run holds nothing but more of the same. */
  #coast(frames: Buffer): boolean {
    if (frames.includes(this.#finishNeedle) || frames.includes(needles.usage)) return false;
    return this.#countContent(frames);
  }

  /**
   * Where frames must be parsed again, in a run whose frames from `from` on may be more of the
   * same: the frame that may be the end, or the end of the run.
   */
  #findCoastEnd(frames: Buffer, from: number): number {
    const finish = frames.indexOf(this.#finishNeedle, from);
    const usage = frames.indexOf(needles.usage, from);
    const suspect = finish < 0 || (usage >= 0 && usage < finish) ? usage : finish;
    if (suspect < 0) return frames.length;
    return Math.max(from, frames.lastIndexOf(needles.blank, suspect) + needles.blank.length);
  }

  /** Counts frames as content without parsing them; false when any is not like the others. */
  #countContent(frames: Buffer): boolean {
    const count = this.#prefix === undefined ? 0 : countLikeFrames(frames, this.#prefix);
    if (count === 0) return false;
    this.#contentFrames += count;
    this.#contentBytes += frames.length;
    this.#unread = frames;
    return true;
  }

  #readClosely(frames: Buffer): ChatChunk | undefined {
    const kept: Buffer[] = [];
    const shown = this.#contentFrames > 0;
    let content = false;
    let skips = true;
    let from = 0;
    let at = 0;
    try {
      while (at < frames.length) {
        if (skips && this.#coasting) {
          const coastEnd = this.#findCoastEnd(frames, at);
          if (coastEnd > at) {
            skips = this.#countContent(frames.subarray(at, coastEnd));
            content ||= skips;
            if (skips) at = coastEnd;
          }
          if (at >= frames.length) break;
        }
        const end = findFrameEnd(frames, at);
        const frame = frames.subarray(at, end);
        const verdict = this.#readFrame(frame);
        if (verdict === "content") {
          content = true;
          this.#noteContent(frame);
        }
        if (verdict === "drop") {
          if (from < at) kept.push(frames.subarray(from, at));
          from = end;
        }
        at = end;
      }
    } catch (thrown) {
      // What came before the fault goes on first; but while nothing has been shown, another target
      // may still answer.
      if (!content || !shown) throw thrown;
      this.#fault = asMeshError(thrown);
    }
    if (from < at) kept.push(frames.subarray(from, at));
    const [first] = kept;
    if (first === undefined) return undefined;
    const bytes = kept.length === 1 ? first : Buffer.concat(kept);
    return new PassedChunk(bytes, content, this.#decoder);
  }

  #readFrame(frame: Buffer): Verdict {
    this.#verdict = "keep";
    readFrames(frame, this.#onEvent);
    return this.#verdict;
  }

  #noteContent(frame: Buffer): void {
    this.#contentFrames += 1;
    this.#contentBytes += frame.length;
    if (this.#prefix === undefined) {
      this.#prefix = Buffer.from(frame.subarray(0, PREFIX_BYTES));
      this.#finishNeedle = needles.finish[frame.includes(needles.spaced) ? 1 : 0];
      this.#frameOverhead = Math.max(0, frame.length - 4);
    }
    this.#coasting = this.#facts.finish === undefined;
  }

  #judge(data: string): void {
    if (data === "") return;
    if (data === "[DONE]") this.#facts.done = true;
    if (this.#facts.done) {
      this.#verdict = "drop";
      return;
    }
    const chunk = this.#facts.parse(data);
    if (this.#facts.finish !== undefined) this.#coasting = false;
    if (hasContent(chunk)) this.#verdict = "content";
    else if (!this.#passUsage && isUsageOnly(chunk)) this.#verdict = "drop";
  }
}

/** The frame that a stream has only because usage was asked for. */
function isUsageOnly(chunk: JsonObject): boolean {
  return isJsonObject(chunk.usage) && isJsonArray(chunk.choices) && chunk.choices.length === 0;
}

/** Frames that go on as they came; decoded in order when somebody wants the events. */
class PassedChunk implements ChatChunk {
  readonly wire: WireForm;
  readonly content: boolean;
  readonly answer = undefined;
  readonly #decoder: EventDecoder;
  #events: ChatEvent[] | undefined;

  constructor(bytes: Buffer, content: boolean, decoder: EventDecoder) {
    this.wire = { dialect: "openai", bytes };
    this.content = content;
    this.#decoder = decoder;
  }

  events(): readonly ChatEvent[] {
    if (this.#events === undefined) {
      const events: ChatEvent[] = [];
      const facts = new StreamFacts();
      readFrames(this.wire.bytes, (_event, data) => {
        if (data !== "" && data !== "[DONE]") this.#decoder.decode(facts.parse(data), events);
      });
      this.#events = events;
    }
    return this.#events;
  }
}
