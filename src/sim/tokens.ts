const BYTES_A_TOKEN = 4;

/**
 * Tokens of a text as the simulated engine counts them: four UTF-8 bytes each, rounded up, at least
 * one.
 */
export function countTokens(text: string): number {
  return Math.max(1, Math.ceil(Buffer.byteLength(text) / BYTES_A_TOKEN));
}

/**
 * The longest beginning of a text that has at most this many tokens; never cuts through a code
 * point.
 */
export function cutToTokens(text: string, tokens: number): string {
  const bytesMax = tokens * BYTES_A_TOKEN;
  if (Buffer.byteLength(text) <= bytesMax) return text;
  const bytes = Buffer.from(text);
  return bytes.toString("utf8", 0, findBoundary(bytes, bytesMax));
}

/**
 * A text in pieces of at most this many tokens each, at least one; joined they are the text again.
 */
export function splitByTokens(text: string, tokensEach: number): string[] {
  const step = tokensEach * BYTES_A_TOKEN;
  const bytes = Buffer.from(text);
  const pieces: string[] = [];
  let start = 0;
  while (start < bytes.length) {
    const end = findBoundary(bytes, Math.min(start + step, bytes.length));
    pieces.push(bytes.toString("utf8", start, end));
    start = end;
  }
  return pieces;
}

/**
 * The last code point boundary at or before `at`. A code point has at most four bytes, so a step
 * always gets on.
 */
function findBoundary(bytes: Buffer, at: number): number {
  let boundary = at;
  while (boundary > 0 && ((bytes[boundary] ?? 0) & 0xc0) === 0x80) boundary--;
  return boundary;
}
