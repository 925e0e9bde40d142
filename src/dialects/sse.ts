import { MeshError } from "../mesh/errors.ts";

/** Most bytes of a frame that has not ended; longer ones are no answer of any model. */
const UNFINISHED_BYTES_MAX = 16 * 1024 * 1024;
const LF = 0x0a;
const CR = 0x0d;
const LF_LF = Buffer.from("\n\n");
const LF_CR_LF = Buffer.from("\n\r\n");
const CR_CR = Buffer.from("\r\r");
const NOTHING = Buffer.alloc(0);

/**
 * Cuts a byte stream into runs of complete SSE frames. It looks at bytes only, so a character that
 * is split between two reads of the socket comes to no harm.
 */
export class SseFramer {
  /**
   * What came after the last blank line, in pieces, so that a long frame is copied once and not
   * once for each read.
   */
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  readonly #unfinishedBytesMax: number;

  constructor(unfinishedBytesMax = UNFINISHED_BYTES_MAX) {
    this.#unfinishedBytesMax = unfinishedBytesMax;
  }

  /**
   * Takes what one read brought. Returns all complete frames so far, which end in a blank line, or
   * undefined when none has ended; copies only when a frame came in several reads. Throws
   * UPSTREAM_GARBLED when an unfinished frame grows too long.
   */
  push(bytes: Buffer): Buffer | undefined {
    if (this.#pieceBytes === 0) {
      const end = findFramesEnd(bytes);
      if (end === bytes.length) return bytes.length === 0 ? undefined : bytes;
      this.#keep(end === 0 ? bytes : bytes.subarray(end));
      return end === 0 ? undefined : bytes.subarray(0, end);
    }
    const end = findFramesEnd(bytes) || this.#findEndAcross(bytes);
    if (end === 0) {
      this.#keep(bytes);
      return undefined;
    }
    this.#pieces.push(end === bytes.length ? bytes : bytes.subarray(0, end));
    const frames = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#pieceBytes = 0;
    if (end < bytes.length) this.#keep(bytes.subarray(end));
    return frames;
  }

  /**
   * What came after the last blank line: a frame that its sender never ended. Empty after a sound
   * stream.
   */
  rest(): Buffer {
    if (this.#pieceBytes === 0) return NOTHING;
    const rest = Buffer.concat(this.#pieces);
    return rest.every((byte) => byte === LF || byte === CR) ? NOTHING : rest;
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#pieces.push(bytes);
    this.#pieceBytes += bytes.length;
    if (this.#pieceBytes <= this.#unfinishedBytesMax) return;
    this.#pieces = [];
    this.#pieceBytes = 0;
    throw new MeshError(
      "UPSTREAM_GARBLED",
      "The upstream sent a stream event without an end. Try again.",
      {
        internal: `an SSE frame is longer than ${this.#unfinishedBytesMax} bytes`,
      },
    );
  }

  /**
   * The end of a blank line that began in what is kept and ends in the first bytes of `bytes`; 0
   * when there is none.
   */
  #findEndAcross(bytes: Buffer): number {
    const before = this.#lastTwoBytes();
    const seam = Buffer.concat([before, bytes.subarray(0, 2)]);
    return Math.max(findFramesEnd(seam) - before.length, 0);
  }

  #lastTwoBytes(): Buffer {
    const last = this.#pieces.at(-1) ?? NOTHING;
    if (last.length >= 2 || this.#pieces.length < 2) return last.subarray(-2);
    return Buffer.concat([(this.#pieces.at(-2) ?? NOTHING).subarray(-1), last]);
  }
}

/**
 * Calls `onEvent` for each event in a run of complete frames: its name, `message` when it has none,
 * and its data. Comments, `id` and `retry` are passed over, events without data too.
 */
export function readFrames(frames: Buffer, onEvent: OnEvent): void {
  const text = decodeFrames(frames);
  let at = 0;
  while (at < text.length) at = readFrame(text, at, onEvent);
}

/** Takes an event: its name and its data. */
export type OnEvent = (event: string, data: string) => void;

/** A run of frames as text, whose lines all end in LF. */
export function decodeFrames(frames: Buffer): string {
  let text = frames.toString("utf8");
  if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
  return text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text;
}

/**
 * Reads the frame that begins at `from` as `readFrames` does. Returns where the next one begins,
 * past the blank line.
 */
export function readFrame(text: string, from: number, onEvent: OnEvent): number {
  let event = "message";
  let data: string | undefined;
  let at = from;
  while (at < text.length) {
    let end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    if (end === at) {
      at += 1;
      break;
    }
    if (text.startsWith("data", at)) {
      const value = readValue(text, at + 4, end);
      if (value !== undefined) data = data === undefined ? value : `${data}\n${value}`;
    } else if (text.startsWith("event", at)) {
      event = readValue(text, at + 5, end) || event;
    }
    at = end + 1;
  }
  if (data !== undefined) onEvent(event, data);
  return at;
}

/** One event as a frame. `event` is left out when it is undefined. */
export function writeFrame(event: string | undefined, data: string): string {
  const lines = data.includes("\n") ? data.replaceAll("\n", "\ndata: ") : data;
  return event === undefined ? `data: ${lines}\n\n` : `event: ${event}\ndata: ${lines}\n\n`;
}

/**
 * One past the last blank line; 0 when there is none. A blank line is LF LF, CR LF CR LF or CR CR.
 */
function findFramesEnd(bytes: Buffer): number {
  const length = bytes.length;
  if (length > 1 && bytes[length - 1] === LF && bytes[length - 2] === LF) return length;
  const end = bytes.lastIndexOf(LF_LF) + 2;
  const known = end === 1 ? 0 : end;
  if (bytes.indexOf(CR, known) < 0) return known;
  const withCarriageReturn = bytes.lastIndexOf(LF_CR_LF);
  const bare = bytes.lastIndexOf(CR_CR);
  return Math.max(
    known,
    withCarriageReturn < 0 ? 0 : withCarriageReturn + 3,
    bare < 0 ? 0 : bare + 2,
  );
}

/** The value of a field whose name ends at `at`; undefined when the name goes on there. */
function readValue(text: string, at: number, end: number): string | undefined {
  if (at === end) return "";
  if (text.charCodeAt(at) !== 0x3a) return undefined;
  const start = text.charCodeAt(at + 1) === 0x20 && at + 1 < end ? at + 2 : at + 1;
  return text.slice(start, end);
}
