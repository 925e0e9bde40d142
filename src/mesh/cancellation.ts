/** Who is told that nobody waits any more. */
export interface CancellationListener {
  cancel(cause: Error): void;
}

/**
 * Says that nobody waits for a call any more. An AbortSignal would do, but costs microseconds for
 * each request on the hot path; this costs an array. One listens to another as it is, so that an
 * attempt ends with its call.
 */
export class Cancellation implements CancellationListener {
  #cause: Error | undefined;
  #listeners: CancellationListener[] | undefined;

  /** Why the call was cancelled, or undefined while somebody waits. */
  get cause(): Error | undefined {
    return this.#cause;
  }

  /** Tells all listeners, once; later calls do nothing. */
  cancel(cause: Error): void {
    if (this.#cause !== undefined) return;
    this.#cause = cause;
    const listeners = this.#listeners;
    this.#listeners = undefined;
    if (listeners === undefined) return;
    for (const listener of listeners) listener.cancel(cause);
  }

  /** Tells `listener` when cancelled, at once when that has happened. */
  add(listener: CancellationListener): void {
    if (this.#cause !== undefined) listener.cancel(this.#cause);
    // A literal has room for one; the first push into an empty array makes room for seventeen.
    else if (this.#listeners === undefined) this.#listeners = [listener];
    else this.#listeners.push(listener);
  }

  /** Does not tell `listener` any more. */
  remove(listener: CancellationListener): void {
    const at = this.#listeners?.indexOf(listener) ?? -1;
    if (at >= 0) this.#listeners?.splice(at, 1);
  }

  /**
   * Calls `listener` when cancelled, at once when that has happened. Returns how to stop listening.
   */
  onCancel(listener: (cause: Error) => void): () => void {
    const added = { cancel: listener };
    this.add(added);
    return () => this.remove(added);
  }

  /** Throws the cause when cancelled. */
  throwIfCancelled(): void {
    if (this.#cause !== undefined) throw this.#cause;
  }
}
