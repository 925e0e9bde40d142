import type { Policy } from "../../gen/weir/admin/v1/policy_pb.ts";
import { compileLimit } from "../../src/mesh/compile-limit.ts";
import { type BoundLimit, type Limit, parseBucket } from "../../src/mesh/limit.ts";
import { findWindow } from "../../src/mesh/window.ts";
import { RateJudge } from "./rate-judge.ts";

export interface ObserverParts {
  readonly nowMs: () => number;
  /** What the ledger's clock truly shows. */
  readonly ledgerMs: () => number;
  /** Told of what must never be. */
  readonly onViolation: (text: string) => void;
}

/**
 * Knows what vendors truly charge, in which bucket and window it was reserved, and who is truly
 * under way; judges it against the highest ceiling that ever stood.
 */
export class Observer {
  readonly #parts: ObserverParts;
  readonly #limits = new Map<string, Highest>();
  readonly #charges = new Map<string, Map<number, number>>();
  readonly #unproven = new Map<string, number>();
  readonly #slots = new Map<string, number>();
  readonly #rates: RateJudge;
  /** Buckets of which a settled amount was not what the vendor charged. */
  readonly blurred = new Set<string>();

  constructor(parts: ObserverParts) {
    this.#parts = parts;
    this.#rates = new RateJudge(parts);
  }

  /** A policy stands from now on. */
  stands(policy: Policy): void {
    const limit = compileLimit(policy);
    if (limit === undefined) return;
    const key = `${limit.policy}|${limit.form}`;
    const known = this.#limits.get(key);
    const amount = Math.max(limit.amount, known?.amount ?? 0);
    this.#limits.set(key, { limit, amount, edited: known !== undefined });
    this.#rates.stands(key, limit);
  }

  /** So much at most was taken although nobody could prove that it was left. */
  allowBeyond({ bucket }: BoundLimit, amount: number): void {
    this.#unproven.set(bucket, this.unprovenOf(bucket) + amount);
  }

  /** A vendor has charged, or will, for an attempt. */
  charge(bound: BoundLimit, windowStartMs: number, amount: number): void {
    const { bucket } = bound;
    // Admitted before the ledger had said a word: it is booked wherever the first lease will be.
    if (windowStartMs < 0 && this.unprovenOf(bucket) > 0) return;
    const windows = this.#charges.get(bucket) ?? new Map<number, number>();
    this.#charges.set(bucket, windows);
    windows.set(windowStartMs, (windows.get(windowStartMs) ?? 0) + amount);
    if (bound.limit.audit) return;
    const charged = this.chargesOf(bound, windowStartMs);
    const ceiling = this.ceilingOf(bucket) + this.unprovenOf(bucket);
    if (charged > ceiling) {
      this.#parts.onViolation(
        `money: ${bucket}@${windowStartMs} is charged ${charged} of at most ${ceiling}, ` +
          `${charged - ceiling} too much`,
      );
    }
  }

  /**
   * Something is taken from a window now. Who takes from a lease counts its end from before the
   * ledger said it, and so is never late.
   */
  takeFrom({ bucket, limit }: BoundLimit, windowStartMs: number): void {
    if (limit.audit || limit.window === undefined || this.unprovenOf(bucket) > 0) return;
    const ledgerMs = this.#parts.ledgerMs();
    const { endMs } = findWindow(limit.window, windowStartMs);
    if (ledgerMs <= endMs + 1) return;
    this.#parts.onViolation(
      `window: ${bucket}@${windowStartMs} is over for ${ledgerMs - endMs} ms`,
    );
  }

  takeRate(bound: BoundLimit, amount: number): void {
    if (!bound.limit.audit) this.#rates.take(bound.bucket, amount);
  }

  refundRate(bound: BoundLimit, amount: number): void {
    if (!bound.limit.audit) this.#rates.refund(bound.bucket, amount);
  }

  takeSlot(bound: BoundLimit): void {
    const taken = (this.#slots.get(bound.bucket) ?? 0) + 1;
    this.#slots.set(bound.bucket, taken);
    const ceiling = this.ceilingOf(bound.bucket);
    if (taken > ceiling && !bound.limit.audit) {
      this.#parts.onViolation(`slots: ${bound.bucket} has ${taken} under way of ${ceiling}`);
    }
  }

  freeSlot(bound: BoundLimit): void {
    this.#slots.set(bound.bucket, (this.#slots.get(bound.bucket) ?? 0) - 1);
  }

  /** What counts against the ceiling of a window: a rolling one counts those before it. */
  chargesOf({ bucket, limit }: BoundLimit, windowStartMs: number): number {
    const windows = this.#charges.get(bucket);
    if (windows === undefined) return 0;
    let sum = 0;
    for (const [startMs, amount] of windows) {
      if (startMs === windowStartMs || isRolled(limit, startMs, windowStartMs)) sum += amount;
    }
    return sum;
  }

  /** Everything that was ever charged in a bucket, by window. */
  windowsOf(bucket: string): ReadonlyMap<number, number> {
    return this.#charges.get(bucket) ?? new Map();
  }

  get buckets(): readonly string[] {
    return [...this.#charges.keys()];
  }

  /** The highest ceiling that ever stood for a bucket. */
  ceilingOf(bucket: string): number {
    return this.#highest(bucket)?.amount ?? 0;
  }

  /** True when a policy's form has stood with several amounts, or has come anew. */
  isEdited(bucket: string): boolean {
    return this.#highest(bucket)?.edited ?? true;
  }

  limitOf(bucket: string): Limit | undefined {
    return this.#highest(bucket)?.limit;
  }

  unprovenOf(bucket: string): number {
    return this.#unproven.get(bucket) ?? 0;
  }

  #highest(bucket: string): Highest | undefined {
    const parts = parseBucket(bucket);
    return parts && this.#limits.get(`${parts.policy}|${parts.form}`);
  }
}

interface Highest {
  readonly limit: Limit;
  readonly amount: number;
  readonly edited: boolean;
}

/** Worlds last a minute or two, so that at most two days occur in them. */
function isRolled({ window }: Limit, startMs: number, untilMs: number): boolean {
  return window?.kind === "rolling" && window.days > 1 && startMs < untilMs;
}
