const LF = 0x0a;
const CR = 0x0d;
const CLOSING_BRACE = 0x7d;

/**
 * How many frames a run has when all begin like `prefix`, are one line, and the last is JSON; 0
 * when any is otherwise, such as an error, a comment or `[DONE]`.
 */
export function countLikeFrames(frames: Buffer, prefix: Buffer): number {
  let last = frames.length - 1;
  while (last >= 0 && isLineEnd(frames[last])) last -= 1;
  if (frames[last] !== CLOSING_BRACE) return 0;
  let count = 0;
  let at = 0;
  while (at < frames.length) {
    for (let n = 0; n < prefix.length; n += 1) {
      if (frames[at + n] !== prefix[n]) return 0;
    }
    at = frames.indexOf(LF, at);
    if (at < 0) return 0;
    while (isLineEnd(frames[at])) at += 1;
    count += 1;
  }
  return count;
}

/** One past the blank line that ends the frame at `from`; the end of the run when there is none. */
export function findFrameEnd(frames: Buffer, from: number): number {
  let at = frames.indexOf(LF, from);
  while (at >= 0) {
    const next = frames[at + 1];
    if (next === LF) return at + 2;
    if (next === CR && frames[at + 2] === LF) return at + 3;
    at = frames.indexOf(LF, at + 1);
  }
  return frames.length;
}

/** Frames whose lines end in CR alone, which hardly anybody sends, with LF. */
export function normaliseLineEnds(frames: Buffer): Buffer {
  if (frames.includes(LF)) return frames;
  return Buffer.from(frames.toString("utf8").replaceAll("\r", "\n"));
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === LF || byte === CR;
}
