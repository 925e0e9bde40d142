import type { OptionSpecs } from "./read-options.ts";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** One command of the command line: `weir NAME …`. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What stands behind the name, such as `MODEL [TEXT]`. */
  readonly synopsis: string;
  readonly options: OptionSpecs;
  /** Resolves with the exit code. Throws UsageError when the line is wrong. */
  run(args: readonly string[], env: Environment): Promise<number>;
}
