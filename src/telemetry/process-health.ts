import { monitorEventLoopDelay } from "node:perf_hooks";
import { createMetric, type Metric } from "./metrics.ts";

/** How often the delay of the event loop is measured, in milliseconds: cheap, and close enough. */
const RESOLUTION_MS = 20;
const NANO = 1e9;
const MICRO = 1e6;

const quantiles = [
  ["0.5", 50],
  ["0.99", 99],
  ["1", 100],
] as const;

/** What the process itself is up to. */
export class ProcessHealth {
  readonly #startSeconds = performance.timeOrigin / 1000;
  readonly #delay: ReturnType<typeof monitorEventLoopDelay>;
  #delays: ReadonlyArray<readonly [string, number]> = quantiles.map(([name]) => [name, 0]);

  constructor() {
    this.#delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.#delay.enable();
  }

  /** A stretch of time is over: its delays are what is told until the next one is. */
  turn(): void {
    const delay = this.#delay;
    // The timer's own period is in what it measures.
    this.#delays = quantiles.map(([name, percent]) => {
      const measured = delay.count === 0 ? 0 : delay.percentile(percent) / NANO;
      return [name, Math.max(0, measured - RESOLUTION_MS / 1000)];
    });
    delay.reset();
  }

  metrics(): Metric[] {
    const { user, system } = process.cpuUsage();
    const samples = this.#delays.map(([quantile, value]) => ({ labels: { quantile }, value }));
    return [
      createMetric(
        "gauge",
        "process_resident_memory_bytes",
        "Memory of the process that is in RAM.",
        process.memoryUsage.rss(),
      ),
      createMetric(
        "counter",
        "process_cpu_seconds_total",
        "Time on the processor, user and system.",
        (user + system) / MICRO,
      ),
      createMetric(
        "gauge",
        "process_start_time_seconds",
        "When the process began, since 1970.",
        this.#startSeconds,
      ),
      {
        name: "weir_event_loop_delay_seconds",
        help: "How late the event loop came to its timers, in the last full ten seconds.",
        type: "gauge",
        samples,
      },
    ];
  }

  close(): void {
    this.#delay.disable();
  }
}
