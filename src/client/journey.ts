import type {
  DescMessage,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { Attempt, Caller } from "./caller.ts";
import type { CallOptions, Settings } from "./options.ts";
import { planRetry, RetryBudget, type RetryPlan } from "./retry.ts";
import type { Surroundings } from "./surroundings.ts";
import { WeirError } from "./weir-error.ts";

/**
 * Calls with a deadline, and retries within the budget: for the whole client, since the budget is
 * one.
 */
export class Journey {
  readonly #caller: Caller;
  readonly #defaultTimeoutMs: number;
  readonly #retry: RetryPlan | undefined;
  readonly #surroundings: Surroundings;

  constructor(caller: Caller, settings: Settings, surroundings: Surroundings) {
    this.#caller = caller;
    this.#defaultTimeoutMs = settings.defaultTimeoutMs;
    this.#surroundings = surroundings;
    const options = settings.retry;
    this.#retry = options && {
      options,
      surroundings,
      budget: new RetryBudget(options, surroundings),
    };
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    input: MessageInitShape<I>,
    options: CallOptions,
  ): Promise<MessageShape<O>> {
    const attempts = this.#begin(options);
    for (;;) {
      try {
        return await this.#caller.unary(method, input, attempts.next());
      } catch (error) {
        await attempts.pauseOrThrow(error);
      }
    }
  }

  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    input: MessageInitShape<I>,
    options: CallOptions,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const attempts = this.#begin(options);
    for (;;) {
      let received = false;
      try {
        for await (const message of this.#caller.stream(method, input, attempts.next())) {
          received = true;
          yield message;
        }
        return;
      } catch (error) {
        // What the caller has seen cannot be taken back: from here on a failure is final.
        if (received) throw error;
        await attempts.pauseOrThrow(error);
      }
    }
  }

  #begin(options: CallOptions): Attempts {
    this.#retry?.budget.deposit();
    const timeoutMs = options.timeoutMs ?? this.#defaultTimeoutMs;
    return new Attempts(this.#retry, this.#surroundings, { timeoutMs, signal: options.signal });
  }
}

/** The attempts of one call, under one deadline. */
class Attempts {
  readonly #retry: RetryPlan | undefined;
  readonly #surroundings: Surroundings;
  readonly #signal: AbortSignal | undefined;
  readonly #endMs: number;
  #made = 0;

  constructor(retry: RetryPlan | undefined, surroundings: Surroundings, whole: Attempt) {
    this.#retry = retry;
    this.#surroundings = surroundings;
    this.#signal = whole.signal;
    this.#endMs = surroundings.now() + whole.timeoutMs;
  }

  next(): Attempt {
    this.#throwIfAborted();
    this.#made += 1;
    // Connect's header takes whole milliseconds, and no zero.
    return { timeoutMs: Math.max(1, Math.ceil(this.#leftMs())), signal: this.#signal };
  }

  async pauseOrThrow(error: unknown): Promise<void> {
    const waitMs = planRetry(this.#retry, error, this.#made, this.#leftMs());
    if (waitMs === undefined) throw error;
    await this.#surroundings.pause(waitMs, this.#signal);
    this.#throwIfAborted();
  }

  #leftMs(): number {
    return this.#endMs - this.#surroundings.now();
  }

  #throwIfAborted(): void {
    if (this.#signal?.aborted !== true) return;
    throw createAborted(this.#signal.reason);
  }
}

/** The error of a call that its own caller aborted. */
function createAborted(cause: unknown): WeirError {
  return new WeirError({ reason: "CALLER_GONE", code: 1, message: "The call was aborted.", cause });
}
