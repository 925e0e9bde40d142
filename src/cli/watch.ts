import { asWeirError } from "../client/admin.ts";

/** Longer than anybody watches; without it the client's deadline would end the stream. */
const WATCH_MS = 24 * 3_600_000;

/** What a stream that is watched is called with. */
export interface WatchCall {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/**
 * Shows what a stream tells, until Ctrl-C: then resolves with the exit code 0. Rejects when the
 * stream ends by itself or fails.
 */
export async function watch<T>(
  open: (calling: WatchCall) => AsyncIterable<T>,
  show: (told: T) => void,
): Promise<number> {
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  try {
    for await (const told of open({ signal: stop.signal, timeoutMs: WATCH_MS })) show(told);
    throw new Error("Weir ended the stream; run it again");
  } catch (error) {
    if (stop.signal.aborted && asWeirError(error).code === 1) return 0;
    throw error;
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}
