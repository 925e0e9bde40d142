import { type Limit, parseBucket } from "../../src/mesh/limit.ts";

/**
 * One token bucket for each rate in all the world: what is admitted in any time is at most the burst
 * and what has come in meanwhile exactly while its level never falls below zero.
 */
export class RateJudge {
  readonly #parts: RateJudgeParts;
  readonly #rates = new Map<string, Rate>();
  readonly #levels = new Map<string, Level>();

  constructor(parts: RateJudgeParts) {
    this.#parts = parts;
  }

  /** A rate stands, perhaps besides what it was before: the more generous of both counts. */
  stands(key: string, limit: Limit): void {
    if (limit.kind !== "rate") return;
    const perMs = limit.amount / limit.periodMs;
    const known = this.#rates.get(key);
    const burst = Math.max(limit.burst, known?.burst ?? 0);
    for (const [bucket, level] of this.#levels) {
      if (keyOf(bucket) === key && known !== undefined) level.left += burst - known.burst;
    }
    this.#rates.set(key, { perMs: Math.max(perMs, known?.perMs ?? 0), burst });
  }

  take(bucket: string, amount: number): void {
    const level = this.#fill(bucket);
    level.left -= amount;
    // A millionth of a unit is what the shares of a rate are counted in.
    if (level.left > -0.001) return;
    this.#parts.onViolation(`rate: ${bucket} has admitted ${-level.left} too much`);
  }

  refund(bucket: string, amount: number): void {
    const level = this.#fill(bucket);
    const burst = this.#rates.get(keyOf(bucket))?.burst ?? 0;
    level.left = Math.min(burst, level.left + amount);
  }

  #fill(bucket: string): Level {
    const rate = this.#rates.get(keyOf(bucket)) ?? { perMs: 0, burst: 0 };
    const nowMs = this.#parts.nowMs();
    let level = this.#levels.get(bucket);
    if (level === undefined) {
      level = { left: rate.burst, atMs: nowMs };
      this.#levels.set(bucket, level);
    }
    level.left = Math.min(rate.burst, level.left + (nowMs - level.atMs) * rate.perMs);
    level.atMs = nowMs;
    return level;
  }
}

interface RateJudgeParts {
  readonly nowMs: () => number;
  readonly onViolation: (text: string) => void;
}

interface Rate {
  readonly perMs: number;
  readonly burst: number;
}

interface Level {
  left: number;
  atMs: number;
}

function keyOf(bucket: string): string {
  const parts = parseBucket(bucket);
  return `${parts?.policy}|${parts?.form}`;
}
