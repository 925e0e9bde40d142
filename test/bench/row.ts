import type { Measured, Rounds } from "./rounds.ts";

/** One line of the table. */
export interface Row {
  readonly name: string;
  readonly unit: Unit;
  /** Undefined when it was not measured; `note` says why. */
  readonly value: number | undefined;
  readonly promise: Promised | undefined;
  readonly note: string;
  /** True when the measurement was disturbed, so that it says nothing either way. */
  readonly void: boolean;
}

export type Unit = "×" | "µs" | "ms" | "MB" | "kB" | "/s";

/** What Weir is held to. */
export interface Promised {
  readonly goal: number;
  readonly stretch: number;
  /** True when more is better. */
  readonly rising: boolean;
}

/** A row that is computed from the trials of one round. */
export interface RowSpec {
  readonly name: string;
  readonly unit: Unit;
  readonly trials: readonly string[];
  compute(...results: Measured[]): number;
  readonly promise: Promised | undefined;
}

/** No more than this. */
export function atMost(goal: number, stretch: number): Promised {
  return { goal, stretch, rising: false };
}

/** No less than this. */
export function atLeast(goal: number, stretch: number): Promised {
  return { goal, stretch, rising: true };
}

/** The row that the rounds make of a spec. */
export function createRow(spec: RowSpec, rounds: Rounds): Row {
  const { name, unit, trials, promise } = spec;
  const found = rounds.summarise(trials, (...results) => spec.compute(...results));
  const missing = trials.find((trial) => !rounds.results.some((round) => round.has(trial)));
  const disturbed = found?.disturbed ?? false;
  const lack = missing === undefined ? "" : `not run: ${missing}`;
  const note = disturbed ? "others used the machine" : lack;
  return { name, unit, value: found?.value, promise, note, void: disturbed };
}

/** How far a row has come; empty when nothing was promised or measured. */
export function judge({ value, promise, void: disturbed }: Row): string {
  if (value === undefined || promise === undefined) return "";
  if (disturbed) return "void";
  const reached = (bound: number) => (promise.rising ? value >= bound : value <= bound);
  if (reached(promise.stretch)) return "stretch";
  return reached(promise.goal) ? "goal" : "MISSED";
}
