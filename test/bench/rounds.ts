import { type LoadOptions, runLoad } from "./load-process.ts";
import type { LoadResult } from "./load-spec.ts";
import { median } from "./samples.ts";
import type { Servers } from "./servers.ts";
import type { Trial } from "./trials.ts";
import { CONTENT_MARK, STREAM_EVENTS } from "./upstream-bytes.ts";

/** Others' use of the machine beyond which a measurement is worth nothing, in cores. */
export const FOREIGN_CORES_MAX = 0.2;

/** Events of content in a stream. */
const MARKS = STREAM_EVENTS - 4;
const MARKED_REQUESTS_MIN = 5;

/** How many rounds of what length. */
export interface RoundOptions {
  readonly directory: string;
  readonly rounds: number;
  readonly seconds: number;
  /** Before each measured window. */
  readonly warmSeconds: number;
  /** Once for each closed loop, before the first round: V8 is done with its hot paths only after seconds of load. */
  readonly compileSeconds: number;
  /** No further round is begun after this time. */
  readonly minutesMax: number;
  /** How often a disturbed measurement is repeated. */
  readonly retries: number;
}

/** What one trial came to in one round. */
export type Measured = LoadResult & { readonly disturbed: boolean };

/** The results of all rounds. */
export class Rounds {
  readonly #rounds: Map<string, Measured>[] = [];

  begin(): void {
    this.#rounds.push(new Map());
  }

  add(name: string, result: Measured): void {
    this.#rounds.at(-1)?.set(name, result);
  }

  get results(): readonly ReadonlyMap<string, Measured>[] {
    return this.#rounds;
  }

  /**
   * The median over the rounds of what `compute` makes of the named trials of one round, so that ratios are taken between
   * neighbours in time. Rounds with a disturbed trial are left out while there are others.
   */
  summarise(
    names: readonly string[],
    compute: (...results: Measured[]) => number,
  ): { readonly value: number; readonly disturbed: boolean } | undefined {
    const all: { value: number; disturbed: boolean }[] = [];
    for (const round of this.#rounds) {
      const found = names.flatMap((name) => round.get(name) ?? []);
      if (found.length < names.length) continue;
      const value = compute(...found);
      if (Number.isFinite(value)) {
        all.push({ value, disturbed: found.some(({ disturbed }) => disturbed) });
      }
    }
    const clean = all.filter(({ disturbed }) => !disturbed);
    if (all.length === 0) return undefined;
    const values = (clean.length > 0 ? clean : all).map(({ value }) => value);
    return { value: median(values), disturbed: clean.length === 0 };
  }
}

/** CPU time of the server for one request. */
export function cpuPerRequest(result: Measured): number {
  return result.serverCpuUs / result.done;
}

/** CPU time of the server for one event: counted where events come one by one, known where they come at once. */
export function cpuPerEvent(result: Measured): number {
  const events =
    result.marks > 0 ? (result.marks * STREAM_EVENTS) / MARKS : result.done * STREAM_EVENTS;
  return result.serverCpuUs / events;
}

/** Lets each server compile its hot paths, and checks that what it answers is whole. */
export async function warmUp(
  trials: readonly Trial[],
  servers: Servers,
  options: RoundOptions,
): Promise<void> {
  const closed = trials.filter(
    ({ rate, behaviour }) => rate === undefined && behaviour === "plain",
  );
  for (const trial of closed) {
    const server = servers.get(trial.server);
    if (server === undefined) continue;
    const result = await runLoad(trial, server, {
      ...createLoadOptions(servers, options),
      seconds: options.compileSeconds,
      marks: trial.form.endsWith("-stream"),
    });
    if (result.errors > 0) throw new Error(`${trial.name} fails: ${result.error}`);
    if (trial.form.endsWith("-stream") && result.done > MARKED_REQUESTS_MIN) {
      const each = result.marks / result.done;
      if (Math.abs(each - MARKS) > MARKS / 4) {
        const text = `${each.toFixed(1)} events with "${CONTENT_MARK}" a stream, not ${MARKS}`;
        throw new Error(`${trial.name} loses content: ${text}`);
      }
    }
  }
}

/** Runs all trials, one after the other, as often as there are rounds. */
export async function runRounds(
  trials: readonly Trial[],
  servers: Servers,
  options: RoundOptions,
  say: (line: string) => void,
): Promise<Rounds> {
  const rounds = new Rounds();
  const endMs = performance.now() + options.minutesMax * 60_000;
  for (let round = 1; round <= options.rounds; round++) {
    if (performance.now() > endMs) {
      say(`${options.minutesMax} minutes are over: the rounds from ${round} on are left out.`);
      break;
    }
    rounds.begin();
    for (const trial of trials) {
      const server = servers.get(trial.server);
      if (server === undefined) continue;
      const measure = () => runLoad(trial, server, createLoadOptions(servers, options));
      const result = await repeatDisturbed(measure, options.retries);
      rounds.add(trial.name, result);
      say(`${round}/${options.rounds}  ${describeResult(trial, result)}`);
    }
  }
  return rounds;
}

/** Measures again while others use the machine; keeps the best. */
export async function repeatDisturbed(
  measure: () => Promise<LoadResult>,
  retries: number,
): Promise<Measured> {
  let best = await measure();
  for (let again = 0; again < retries && best.foreignCores > FOREIGN_CORES_MAX; again++) {
    const next = await measure();
    if (next.foreignCores < best.foreignCores) best = next;
  }
  return { ...best, disturbed: best.foreignCores > FOREIGN_CORES_MAX };
}

function createLoadOptions(servers: Servers, options: RoundOptions): LoadOptions {
  const { directory, seconds, warmSeconds } = options;
  return { directory, seconds, warmSeconds, known: [...servers.listPids(), process.pid] };
}

function describeResult(trial: Trial, result: Measured): string {
  const parts = [
    trial.name.padEnd(32),
    `${result.rate.toFixed(0).padStart(6)}/s`,
    `${cpuPerRequest(result).toFixed(1).padStart(8)} µs a request`,
    `p50 ${result.latency.p50.toFixed(2)}`,
    `p99 ${result.latency.p99.toFixed(2)} ms`,
    `core ${(result.serverCpuUs / 1e6 / result.seconds).toFixed(2)}`,
  ];
  if (result.errors > 0) parts.push(`${result.errors} ERRORS: ${result.error}`);
  if (result.disturbed) parts.push(`disturbed: ${result.foreignCores.toFixed(2)} cores foreign`);
  return parts.join("  ");
}
