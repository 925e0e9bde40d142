import type { JsonValue } from "../mesh/json.ts";
import type { FrameMeter } from "./passed-chunk.ts";
import type { TextTemplate } from "./text-template.ts";

/** How a dialect's frames are measured. */
export interface MeterParts {
  readonly template: TextTemplate;
  /** Teaches the template a frame, and tells where in its data all stands that was produced. */
  read(frame: string, data: JsonValue): JsonValue | undefined;
}

/** What a tool call, an end or the like takes beyond its words, in tokens. */
const EVENT_TOKENS = 8;

/**
 * Bounds what a model has produced by the bytes of what it said: of frames that are like one before
 * by comparing, of others by parsing, and of what cannot be parsed by all their bytes.
 */
export class ProducedMeter implements FrameMeter {
  readonly #parts: MeterParts;

  constructor(parts: MeterParts) {
    this.#parts = parts;
  }

  measureFrames(frames: Buffer): number {
    const { template } = this.#parts;
    // Bytes as letters: lengths are lengths in bytes.
    const letters = frames.toString("latin1");
    let most = 0;
    let at = 0;
    while (at < letters.length) {
      let end = template.match(letters, at);
      if (end >= 0) {
        most += template.textLength;
      } else {
        end = findFrameEnd(letters, at);
        most += this.#read(letters.slice(at, end));
      }
      at = end;
    }
    return most;
  }

  #read(frame: string): number {
    let most = 0;
    const wide = frame.includes("\\u") ? ESCAPED_BYTES_MAX : 1;
    for (const line of frame.split(/[\r\n]+/)) {
      if (!line.startsWith("data:")) continue;
      const data = parse(line.slice(5));
      if (data === undefined) most += line.length;
      else most += sumTexts(this.#parts.read(frame, data), wide) + EVENT_TOKENS;
    }
    return most;
  }
}

const DONE = "[DONE]";

function parse(data: string): JsonValue | undefined {
  if (data.trim() === DONE) return {};
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}

/** Of a letter that was escaped; one that was not is a byte here. */
const ESCAPED_BYTES_MAX = 3;

/** The bytes of all strings in a value; letters that are not ASCII count as so many. */
function sumTexts(value: JsonValue | undefined, wide: number): number {
  if (typeof value === "string") {
    let bytes = 0;
    for (let at = 0; at < value.length; at++) bytes += value.charCodeAt(at) < 0x80 ? 1 : wide;
    return bytes;
  }
  if (typeof value !== "object" || value === null) return 0;
  let sum = 0;
  for (const each of Array.isArray(value) ? value : Object.values(value)) {
    sum += sumTexts(each, wide);
  }
  return sum;
}

function findFrameEnd(letters: string, from: number): number {
  const ends = ["\n\n", "\r\n\r\n", "\r\r"].flatMap((blank) => {
    const at = letters.indexOf(blank, from);
    return at < 0 ? [] : [at + blank.length];
  });
  return Math.min(letters.length, ...ends);
}
