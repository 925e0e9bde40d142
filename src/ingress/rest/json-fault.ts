/** A place in a text. */
export interface TextPlace {
  /** In UTF-16 units, from 0. */
  readonly offset: number;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}

/**
 * Where a text that JSON.parse refuses stops being JSON. Engines name the place for some faults
 * only. It reads one token after another and keeps no stack of its own calls, so no text is too
 * deep for it.
 */
export function locateJsonFault(text: string): TextPlace {
  const offset = findFault(text);
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf("\n") + 1;
  let line = 1;
  for (let at = before.indexOf("\n"); at >= 0; at = before.indexOf("\n", at + 1)) line += 1;
  return { offset, line, column: offset - lineStart + 1 };
}

const space = /[ \t\n\r]*/y;
const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y;
const word = /true|false|null/y;

/** What may come next. */
type Expected = "value" | "value or ]" | "name or }" | "name" | ":" | ", or end";

function findFault(text: string): number {
  const open: string[] = [];
  let expected: Expected = "value";
  let at = 0;
  for (;;) {
    at = skip(space, text, at);
    const char = text[at];
    if (char === undefined) return at;
    const inObject = open.at(-1) === "{";
    if (expected === ", or end") {
      if (open.length === 0) return at;
      if (char === (inObject ? "}" : "]")) open.pop();
      else if (char === ",") expected = inObject ? "name" : "value";
      else return at;
      at += 1;
    } else if (expected === ":") {
      if (char !== ":") return at;
      expected = "value";
      at += 1;
    } else if (char === "}" && expected === "name or }") {
      open.pop();
      expected = ", or end";
      at += 1;
    } else if (char === "]" && expected === "value or ]") {
      open.pop();
      expected = ", or end";
      at += 1;
    } else if (expected === "name" || expected === "name or }") {
      const scan = scanString(text, at);
      if (!scan.whole) return scan.at;
      at = scan.at;
      expected = ":";
    } else if (char === "{" || char === "[") {
      open.push(char);
      expected = char === "{" ? "name or }" : "value or ]";
      at += 1;
    } else {
      const scan = scanScalar(text, at);
      if (!scan.whole) return scan.at;
      at = scan.at;
      expected = ", or end";
    }
  }
}

/** How far a token reaches, and whether it is whole. */
interface Scan {
  readonly at: number;
  readonly whole: boolean;
}

function scanScalar(text: string, at: number): Scan {
  if (text[at] === '"') return scanString(text, at);
  const end = Math.max(skip(number, text, at), skip(word, text, at));
  return { at: end, whole: end > at };
}

function scanString(text: string, start: number): Scan {
  if (text[start] !== '"') return { at: start, whole: false };
  for (let at = start + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) return { at: at + 1, whole: true };
    if (code < 0x20) return { at, whole: false };
    if (code === 0x5c) {
      const letter = text[at + 1] ?? "";
      if (letter === "u") {
        if (!/^[0-9a-fA-F]{4}$/.test(text.slice(at + 2, at + 6))) return { at, whole: false };
        at += 5;
      } else if (letter !== "" && '"\\/bfnrt'.includes(letter)) at += 1;
      else return { at, whole: false };
    }
  }
  return { at: text.length, whole: false };
}

/** Where a sticky pattern's match at `at` ends; `at` itself when there is none. */
function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}
