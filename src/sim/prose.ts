import { hash } from "node:crypto";
import { createSeededRandom, type Random } from "../mesh/random.ts";

const WORDS = (
  "the river runs slow past a low stone weir and every measured drop of water finds its way " +
  "down to quiet mills where wheels turn through long grey mornings while keepers read their " +
  "gauges open one gate close another note each level in ink under old trees near bright " +
  "fields of early barley"
).split(" ");

const BLOCK_BYTES = 65_536;

/** Deterministic English-like prose of exactly `bytes` ASCII bytes, ending in a full stop. */
export function writeProse(seed: number, bytes: number): string {
  if (bytes <= 0) return "";
  if (bytes > BLOCK_BYTES) {
    const block = writeProse(seed, BLOCK_BYTES - 1).concat(" ");
    const rest = bytes % BLOCK_BYTES;
    const whole = block.repeat(Math.floor(bytes / BLOCK_BYTES));
    return rest === 0 ? endWithStop(whole) : whole + writeProse(seed, rest);
  }
  const random = createSeededRandom(seed);
  let text = "";
  while (text.length < bytes) text += `${writeSentence(random)} `;
  return endWithStop(text.slice(0, bytes));
}

/** A number that stands for a text, the same on every machine. */
export function seedFrom(text: string): number {
  return Number.parseInt(hash("sha256", text).slice(0, 8), 16);
}

function writeSentence(random: Random): string {
  const length = 6 + Math.floor(random.unit() * 9);
  const words: string[] = [];
  for (let i = 0; i < length; i++) words.push(pickWord(random));
  const sentence = words.join(" ");
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`;
}

/** One word, drawn. */
export function pickWord(random: Random): string {
  return WORDS[Math.floor(random.unit() * WORDS.length)] ?? "water";
}

function endWithStop(text: string): string {
  return `${text.slice(0, -1)}.`;
}
