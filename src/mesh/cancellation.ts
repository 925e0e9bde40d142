/**
 * Says that nobody waits for a call any more. An AbortSignal would do, but costs microseconds for
 * each request on the hot path; this costs an array.
 */
export class Cancellation {
  #cause: Error | undefined;
  #listeners: Array<(cause: Error) => void> = [];

  /** Why the call was cancelled, or undefined while somebody waits. */
  get cause(): Error | undefined {
    return this.#cause;
  }

  /** Tells all listeners, once; later calls do nothing. */
  cancel(cause: Error): void {
    if (this.#cause !== undefined) return;
    this.#cause = cause;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener(cause);
  }

  /**
   * Calls `listener` when cancelled, at once when that has happened. Returns how to stop listening.
   */
  onCancel(listener: (cause: Error) => void): () => void {
    if (this.#cause !== undefined) {
      listener(this.#cause);
      return ignore;
    }
    this.#listeners.push(listener);
    return () => {
      const at = this.#listeners.indexOf(listener);
      if (at >= 0) this.#listeners.splice(at, 1);
    };
  }

  /** Throws the cause when cancelled. */
  throwIfCancelled(): void {
    if (this.#cause !== undefined) throw this.#cause;
  }
}

function ignore(): void {}
