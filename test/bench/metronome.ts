import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

/**
 * Calls `tick` whenever a request of a constant rate is due, with the time at which it was due, on performance.now(). The
 * event loop's own timers are a millisecond coarse, which is longer than what is measured; a thread that sleeps on a futex
 * is not.
 */
export function startMetronome(
  rate: number,
  tick: (dueMs: number) => void,
): { stop(): Promise<void> } {
  const worker = new Worker(new URL(import.meta.url), { workerData: { intervalMs: 1000 / rate } });
  const offsetMs = performance.now() - readSharedMs();
  worker.on("message", (dueMs: number) => tick(dueMs + offsetMs));
  return {
    stop: async () => {
      await worker.terminate();
    },
  };
}

/** Sleeps from one due time to the next; when it comes late, it tells all that it has missed. */
function beat(intervalMs: number): never {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const startedMs = readSharedMs();
  for (let count = 1; ; count++) {
    const dueMs = startedMs + count * intervalMs;
    const waitMs = dueMs - readSharedMs();
    if (waitMs > 0) Atomics.wait(cell, 0, 0, waitMs);
    parentPort?.postMessage(dueMs);
  }
}

/** A clock that all threads share, unlike performance.now(). */
function readSharedMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

if (!isMainThread) beat(workerData.intervalMs);
