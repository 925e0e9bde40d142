import type { JsonValue } from "../mesh/json.ts";

/** A frame that was parsed, and the one text that is all its news. */
export interface Lesson {
  /** With its blank line. */
  readonly frame: string;
  readonly text: string;
  /** Finds where the text begins: ends behind its opening quote. */
  readonly place: RegExp;
  /**
   * A field at the very end that no reader looks at: what stands before its value as the first
   * group, what stands behind as the second.
   */
  readonly padding?: RegExp;
  /** The text that is all the news of a frame's data; undefined when it has others or none. */
  find(data: JsonValue): string | undefined;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;

/** Frames that are alike in a row pay for learning the next kind of them. */
const CREDIT_FIRST = 16;
const CREDIT_MAX = 32;
const LESSON_COST = 8;

/** A frame of one event, whose data is one line. */
const ONE_EVENT = /^(?:event:[^\r\n]*\r?\n)?data:([^\r\n]*)(?:\n\n|\r\n\r\n)$/;

/**
 * Knows the frames of a stream that differ from an earlier one in nothing but a text: nearly all of
 * them do, and comparing is many times cheaper than parsing. What stands before and after the text
 * is taken from a frame that was parsed, and is JSON around any other text just as well.
 */
export class TextTemplate {
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

  /** How long the text of the frame that matched last is, as it stands there. */
  get textLength(): number {
    return this.#until - this.#from;
  }

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

  /**
   * Learns from a frame, unless it has learnt too much in vain by now. False when what it knows is
   * as before.
   */
  learn(lesson: Lesson): boolean {
    if (this.#credit < LESSON_COST) return false;
    this.#credit -= LESSON_COST;
    const { frame, text } = lesson;
    const place = lesson.place.exec(frame);
    if (place === null) return false;
    const from = place.index + place[0].length;
    const until = this.#findQuote(frame, from);
    if (until < 0) return false;
    const head = frame.slice(0, from);
    const tail = frame.slice(until);
    // The proof: with another text in this place, another text is what is read.
    const other = text === "#" ? "##" : "#";
    if (findText(`${head}${other}${tail}`, lesson) !== other) return false;
    const padding = lesson.padding?.exec(tail);
    const before = padding?.[1];
    const tailEnd = before === undefined ? tail.length : (padding?.index ?? 0) + before.length;
    // A slice keeps all of the text alive that it is of: these are of one with nothing else in it.
    this.#seam = tail.slice(0, tailEnd) + head;
    this.#tail = this.#seam.slice(0, tailEnd);
    this.#head = this.#seam.slice(tailEnd);
    this.#close = padding?.[2] ?? "";
    return true;
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

function findText(frame: string, lesson: Lesson): string | undefined {
  const data = ONE_EVENT.exec(frame)?.[1];
  if (data === undefined) return undefined;
  try {
    return lesson.find(JSON.parse(data));
  } catch {
    return undefined;
  }
}
