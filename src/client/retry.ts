import type { RetryOptions } from "./options.ts";
import type { Surroundings } from "./surroundings.ts";
import { WeirError } from "./weir-error.ts";

/** The free retries of so many seconds can be saved up. */
const SAVED_SECONDS = 10;
const UNAVAILABLE = 14;

/**
 * A bucket of retries: every call pays in a share of one, time pays in some, every retry takes one
 * out.
 */
export class RetryBudget {
  readonly #ratio: number;
  readonly #perSecond: number;
  readonly #max: number;
  readonly #surroundings: Surroundings;
  #tokens: number;
  #filledMs: number;

  constructor(options: Required<RetryOptions>, surroundings: Surroundings) {
    this.#ratio = options.budgetRatio;
    this.#perSecond = options.budgetPerSecond;
    this.#max = Math.max(options.budgetPerSecond * SAVED_SECONDS, options.budgetRatio * 100);
    this.#surroundings = surroundings;
    this.#tokens = options.budgetPerSecond * SAVED_SECONDS;
    this.#filledMs = surroundings.now();
  }

  /** Counts a call. */
  deposit(): void {
    this.#add(this.#ratio);
  }

  /** Takes a retry out; false when there is none. */
  withdraw(): boolean {
    const now = this.#surroundings.now();
    this.#add(((now - this.#filledMs) / 1000) * this.#perSecond);
    this.#filledMs = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  #add(tokens: number): void {
    this.#tokens = Math.min(this.#max, this.#tokens + tokens);
  }
}

/** What stands behind a retry. */
export interface RetryPlan {
  readonly options: Required<RetryOptions>;
  readonly budget: RetryBudget;
  readonly surroundings: Surroundings;
}

/**
 * How long to wait before the attempt after `attempt` (from 1), in milliseconds; undefined when
 * there shall be none. Takes it out of the budget.
 */
export function planRetry(
  plan: RetryPlan | undefined,
  error: unknown,
  attempt: number,
  timeLeftMs: number,
): number | undefined {
  if (plan === undefined || attempt >= plan.options.attempts || !isRetryable(error)) {
    return undefined;
  }
  const { backoffMs, backoffMaxMs } = plan.options;
  const ceiling = Math.min(backoffMaxMs, backoffMs * 2 ** (attempt - 1));
  const asked = error.retryDelayMs ?? 0;
  // Whoever is told to wait longer than that wants to know rather than to hang.
  if (asked > backoffMaxMs) return undefined;
  const waitMs = Math.max(asked, plan.surroundings.unit() * ceiling);
  if (waitMs >= timeLeftMs || !plan.budget.withdraw()) return undefined;
  return waitMs;
}

/** A wrong credential of Weir's own at the upstream is UNAVAILABLE, and stays so. */
function isRetryable(error: unknown): error is WeirError {
  return (
    error instanceof WeirError &&
    error.code === UNAVAILABLE &&
    error.reason !== "UPSTREAM_CREDENTIAL"
  );
}
