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
  if (poolUsed + 16 > pool.length) {
    pool = randomBytes(POOL_BYTES);
    poolUsed = 0;
  }
  poolUsed += 16;
  return prefix + pool.toString("hex", poolUsed - 16, poolUsed);
}
