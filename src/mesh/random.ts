import { randomBytes } from "node:crypto";

/** Randomness, as the rest of the house sees it. Nothing else calls `Math.random`. */
export interface Random {
  /** Uniform in [0, 1). Not for secrets. */
  unit(): number;
}

/** The machine's own randomness. */
export const systemRandom: Random = { unit: () => Math.random() };

/** A repeatable source for tests (mulberry32: 32 bits of state, period 2³²). */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    unit: () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
    },
  };
}

const POOL_BYTES = 4096;
let pool = Buffer.alloc(0);
let poolUsed = 0;

/**
 * A new identifier such as `req_5f…`: 128 random bits in hexadecimal, drawn from a pool to spare
 * system calls.
 */
export function createId(prefix: string): string {
  return prefix + drawHex(16);
}

/**
 * A new identifier that sorts by time: 48 bits of milliseconds since 1970 and 80 random bits, in
 * hexadecimal, as long as those of `createId`. What is kept by such a name is appended to its index
 * and not strewn over it.
 */
export function createTimedId(prefix: string, wallMs: number): string {
  const ms = Math.max(0, Math.floor(wallMs)) % 2 ** 48;
  return prefix + ms.toString(16).padStart(12, "0") + drawHex(10);
}

function drawHex(bytes: number): string {
  if (poolUsed + bytes > pool.length) {
    pool = randomBytes(POOL_BYTES);
    poolUsed = 0;
  }
  poolUsed += bytes;
  return pool.toString("hex", poolUsed - bytes, poolUsed);
}
