import type { Usage } from "../../../gen/weir/v1/usage_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import type { ChatChunk } from "../../mesh/chunk.ts";
import { asMeshError, type MeshError } from "../../mesh/errors.ts";
import { isJsonObject, type JsonObject } from "../../mesh/json.ts";
import type { UpstreamEnd } from "../../mesh/upstream.ts";
import type { StreamReader } from "../dialect.ts";
import { PassedChunk } from "../passed-chunk.ts";
import { readFrames } from "../sse.ts";
import { DeltaTemplate } from "./delta-template.ts";
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
 * from the one that ends the answer. Between these, frames that differ in nothing but their text
 * are compared; of others only the beginnings, and two byte searches tell whether the end has come.
 */
export class PassingReader implements StreamReader {
  readonly #facts = new StreamFacts();
  readonly #decoder = new EventDecoder();
  readonly #template = new DeltaTemplate();
  readonly #askBytes: number;
  readonly #passUsage: boolean;
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
  /** The chunk that was parsed last, when it had content. */
  #chunk: JsonObject = {};

  constructor(ask: ChatAsk) {
    this.#askBytes = ask.bytes;
    this.#passUsage = asksUsage(ask.wire);
  }

  get ended(): boolean {
    return this.#facts.done;
  }

  read(frames: Buffer): ChatChunk | undefined {
    if (this.#fault !== undefined) throw this.#fault;
    if (!this.#coasting) return this.#readClosely(normaliseLineEnds(frames), undefined, 0);
    // Bytes as letters: what is compared is no text as yet.
    const letters = frames.toString("latin1");
    const alike = this.#skipAlike(letters, 0);
    if (alike === frames.length || (alike === 0 && this.#coast(frames))) {
      return this.#pass(frames, true);
    }
    return this.#readClosely(normaliseLineEnds(frames), alike > 0 ? letters : undefined, alike);
  }

  end(): UpstreamEnd {
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#facts.finish === undefined && this.#unread !== undefined) {
      readFrames(this.#unread, (_event, data) => this.#judge(data));
    }
    return this.#facts.end();
  }

  partialUsage(): Usage {
    if (this.#facts.usage !== undefined) return this.#facts.usage;
    const text = this.#contentBytes - this.#contentFrames * this.#frameOverhead;
    return estimateUsage(this.#askBytes, this.#contentFrames, Math.max(0, text));
  }

  /**
   * Counts the frames from `from` on that are like one before but for their text; where they end.
   */
  #skipAlike(letters: string, from: number): number {
    const end = this.#template.skip(letters, from);
    this.#contentFrames += this.#template.skipped;
    this.#contentBytes += end - from;
    return end;
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

  /**
   * Counts the frames from `from` on that begin like the first one with content, up to the one that
   * may be the end. Returns where they end; below zero when not all of them begin so.
   */
  #skipLike(frames: Buffer, from: number): number {
    const end = from < frames.length ? this.#findCoastEnd(frames, from) : from;
    return end === from || this.#countContent(frames.subarray(from, end)) ? end : -1;
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

  /**
   * Reads a run whose frames before `begin` are known to be content; `letters` is the run, when
   * somebody has made them already.
   */
  #readClosely(frames: Buffer, letters: string | undefined, begin: number): ChatChunk | undefined {
    const kept: Buffer[] = [];
    const shown = this.#contentFrames > 0;
    let content = begin > 0;
    let skips = true;
    let from = 0;
    let at = begin;
    try {
      while (at < frames.length) {
        if (this.#coasting) {
          letters ??= frames.toString("latin1");
          const alike: number = this.#skipAlike(letters, at);
          const like: number = skips ? this.#skipLike(frames, alike) : -1;
          skips = like >= 0;
          content ||= Math.max(alike, like) > at;
          at = Math.max(alike, like);
          if (at >= frames.length) break;
        }
        const end = findFrameEnd(frames, at);
        const frame = frames.subarray(at, end);
        const verdict = this.#readFrame(frame);
        if (verdict === "content") {
          content = true;
          letters ??= frames.toString("latin1");
          this.#noteContent(frame, letters.slice(at, end));
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
    return this.#pass(kept.length === 1 ? first : Buffer.concat(kept), content);
  }

  #readFrame(frame: Buffer): Verdict {
    this.#verdict = "keep";
    readFrames(frame, (_event, data) => this.#judge(data));
    return this.#verdict;
  }

  #pass(bytes: Buffer, content: boolean): ChatChunk {
    return new PassedChunk({ dialect: "openai", bytes }, content, this.#decoder);
  }

  #noteContent(frame: Buffer, letters: string): void {
    this.#template.learnChunk(letters, this.#chunk);
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
    this.#chunk = chunk;
    if (hasContent(chunk)) this.#verdict = "content";
    else if (!this.#passUsage && isUsageOnly(chunk)) this.#verdict = "drop";
  }
}

/** The frame that a stream has only because usage was asked for. */
function isUsageOnly(chunk: JsonObject): boolean {
  return isJsonObject(chunk.usage) && isJsonArray(chunk.choices) && chunk.choices.length === 0;
}
