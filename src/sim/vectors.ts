/** Length of a vector when none was asked for. */
export const DIMENSIONS_DEFAULT = 256;

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * A unit vector for a text: its words and the runs of three characters within them, hashed into
 * `dimensions` buckets with a sign each. Texts that share words and spellings are near each other;
 * the same text always has the same vector.
 */
export function embedText(text: string, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions);
  for (const word of text.toLowerCase().split(/[^\p{L}\p{N}]+/u)) {
    if (word === "") continue;
    add(vector, word, 0, word.length, 2);
    const padded = ` ${word} `;
    for (let i = 0; i + 3 <= padded.length; i++) add(vector, padded, i, i + 3, 1);
  }
  return normalize(vector);
}

function add(vector: Float32Array, text: string, start: number, end: number, weight: number): void {
  let h = FNV_OFFSET;
  for (let i = start; i < end; i++) h = Math.imul(h ^ text.charCodeAt(i), FNV_PRIME);
  // FNV's low bits alone fall into few buckets: mix them before they are used.
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h ^= h >>> 13;
  const bucket = (h >>> 1) % vector.length;
  vector[bucket] = (vector[bucket] ?? 0) + ((h & 1) === 0 ? weight : -weight);
}

function normalize(vector: Float32Array): Float32Array {
  let squares = 0;
  for (const value of vector) squares += value * value;
  if (squares === 0) {
    // A text without a single letter still needs a unit vector.
    vector[0] = 1;
    return vector;
  }
  const scale = 1 / Math.sqrt(squares);
  for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] ?? 0) * scale;
  return vector;
}
