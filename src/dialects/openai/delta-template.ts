import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import { type Field, isJsonArray } from "./field.ts";

/** The fields of a delta that may be all its news. */
export type TextField = "content" | "reasoning_content" | "reasoning";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;

/** Frames that are alike in a row pay for learning the next kind of them. */
const CREDIT_FIRST = 16;
const CREDIT_MAX = 32;
const LESSON_COST = 8;

/**
 * Knows the frames of a stream that differ from an earlier one in nothing but a text: nearly all of
 * them do, and comparing is many times cheaper than parsing. What stands before and after the text
 * is taken from a frame that was parsed, and is JSON around any other text just as well.
 */
export class DeltaTemplate {
  /** Which field the text is of, and which choice: as in the frame that was learnt. */
  field: TextField = "content";
  choiceIndex = 0;
  /** How many frames `skip` has passed over. */
  skipped = 0;
  #head = "";
  #tail = "";
  /** The tail and the head of the next frame. */
  #seam = "";
  /** What follows when the frame has padding of random length; empty when it has none. */
  #close = "";
  #from = 0;
  #until = 0;
  #escaped = false;
  #credit = CREDIT_FIRST;

  /**
   * One past the frame at `at` when it is like the one that was learnt and has a text; below zero
   * when it is not, or may not be.
   */
  match(frames: string, at: number): number {
    const from = at + this.#head.length;
    if (from === at || frames.slice(at, from) !== this.#head) return -1;
    this.#escaped = false;
    const until = this.#findQuote(frames, from);
    if (until <= from) return -1;
    const escaped = this.#escaped;
    let end = until + this.#tail.length;
    if (frames.slice(until, end) !== this.#tail) return -1;
    if (this.#close !== "") {
      const quote = this.#findQuote(frames, end);
      if (quote < 0 || this.#escaped !== escaped) return -1;
      end = quote + this.#close.length;
      if (frames.slice(quote, end) !== this.#close) return -1;
    }
    this.#from = from;
    this.#until = until;
    if (this.#credit < CREDIT_MAX) this.#credit += 1;
    return end;
  }

  /**
   * Passes over the frames from `at` on for as long as they match; `skipped` says how many did.
   * Returns where they end.
   */
  skip(frames: string, at: number): number {
    this.skipped = 0;
    let end = at;
    let from = at + this.#head.length;
    if (this.#close !== "" || from === at || frames.slice(at, from) !== this.#head) {
      for (let next = this.match(frames, at); next >= 0; next = this.match(frames, next)) {
        this.skipped += 1;
        end = next;
      }
      return end;
    }
    for (;;) {
      const until = this.#findQuote(frames, from);
      if (until <= from) return end;
      // A frame's end and the next one's beginning at once: half the comparing.
      from = until + this.#seam.length;
      const more = frames.slice(until, from) === this.#seam;
      const tailEnd = until + this.#tail.length;
      if (!more && frames.slice(until, tailEnd) !== this.#tail) return end;
      this.skipped += 1;
      if (this.#credit < CREDIT_MAX) this.#credit += 1;
      end = tailEnd;
      if (!more) return end;
    }
  }

  /** The text of the frame that matched last; undefined when it is no JSON. */
  readText(frames: string): string | undefined {
    if (!this.#escaped) return frames.slice(this.#from, this.#until);
    try {
      return JSON.parse(frames.slice(this.#from - 1, this.#until + 1));
    } catch {
      return undefined;
    }
  }

  /** Learns from a frame, its blank line included, and the chunk that was parsed of it. */
  learn(frame: string, chunk: JsonObject): void {
    if (this.#credit < LESSON_COST) return;
    const choice = findOnlyChoice(chunk);
    const found = choice === undefined ? undefined : findOnlyText(choice.delta);
    if (choice === undefined || found === undefined || !isOneLine(frame)) return;
    this.#credit -= LESSON_COST;
    const place = textPlaces[found.field].exec(frame);
    if (place === null) return;
    const from = place.index + place[0].length;
    const until = this.#findQuote(frame, from);
    if (until < 0) return;
    const head = frame.slice(0, from);
    const tail = frame.slice(until);
    const other = found.text === "#" ? "##" : "#";
    if (!isTextOf(`${head}${other}${tail}`, found.field, other)) return;
    const padding = PADDING.exec(tail);
    const cut = padding?.[1] === undefined ? tail.length : padding.index + padding[1].length;
    this.#head = head;
    this.#tail = tail.slice(0, cut);
    this.#close = padding?.[2] ?? "";
    this.#seam = this.#tail + head;
    this.field = found.field;
    this.choiceIndex = typeof choice.index === "number" ? choice.index : 0;
  }

  /** The quote that ends the string at `from`; below zero when the string is no JSON. */
  #findQuote(text: string, from: number): number {
    for (let at = from; at < text.length; at += 1) {
      let code = text.charCodeAt(at);
      if (code === QUOTE) return at;
      if (code === BACKSLASH) {
        this.#escaped = true;
        at += 1;
        code = text.charCodeAt(at);
      }
      if (!(code >= SPACE)) return -1;
    }
    return -1;
  }
}

const textPlaces: Readonly<Record<TextField, RegExp>> = {
  content: /"content"\s*:\s*"/,
  reasoning_content: /"reasoning_content"\s*:\s*"/,
  reasoning: /"reasoning"\s*:\s*"/,
};

/**
 * What OpenAI and Mistral put last into each chunk, so that lengths betray nothing; no reader looks
 * at it. As nothing but the end of the chunk follows, it is a field of the chunk itself.
 */
const PADDING = /("(?:obfuscation|p)"\s*:\s*")[^"\\]*("\s*\}\s*)$/;

/** The choice of a chunk that tells of nothing else: no end, no usage, no probabilities. */
function findOnlyChoice(chunk: JsonObject): JsonObject | undefined {
  const { choices, usage, x_groq: groq } = chunk;
  if (usage != null || groq != null || !isJsonArray(choices) || choices.length !== 1) return;
  const [choice] = choices;
  if (!isJsonObject(choice) || choice.logprobs != null) return;
  const { finish_reason: finish } = choice;
  return typeof finish === "string" && finish !== "" ? undefined : choice;
}

/** The one field of a delta that says something, when that is a text. */
function findOnlyText(delta: Field): { field: TextField; text: string } | undefined {
  if (!isJsonObject(delta)) return undefined;
  let found: { field: TextField; text: string } | undefined;
  for (const name in delta) {
    const value = delta[name];
    if (name === "role" || saysNothing(value)) continue;
    if (found !== undefined || typeof value !== "string") return undefined;
    if (name !== "content" && name !== "reasoning_content" && name !== "reasoning") return;
    found = { field: name, text: value };
  }
  return found;
}

function saysNothing(value: Field): boolean {
  return value == null || value === "" || (isJsonArray(value) && value.length === 0);
}

/** Whether a frame is one line of data and its blank line. */
function isOneLine(frame: string): boolean {
  return /^data:[^\r\n]*(?:\n\n|\r\n\r\n)$/.test(frame);
}

/** Whether the only choice of a frame of one line has this text. */
function isTextOf(frame: string, field: TextField, text: string): boolean {
  let chunk: JsonValue;
  try {
    chunk = JSON.parse(frame.slice(5));
  } catch {
    return false;
  }
  const choice = isJsonObject(chunk) ? findOnlyChoice(chunk) : undefined;
  const found = findOnlyText(choice?.delta);
  return found?.field === field && found.text === text;
}
