import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import type { z } from "zod";
import { UsageError } from "./usage-error.ts";

/** One option of a command, for reading and for its help. */
export interface OptionSpec {
  /** `HOST:PORT` and the like; undefined for a switch. */
  readonly value: string | undefined;
  readonly help: string;
  /**
   * The environment variables that give it when the flag is absent; the first that is set counts.
   */
  readonly env?: string | readonly string[];
  readonly short?: string;
  /** May be given several times. */
  readonly multiple?: boolean;
}

/** The options of a command by name. */
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** A command line, read. */
export interface ReadLine<T> {
  readonly options: T;
  readonly positionals: readonly string[];
}

/**
 * Reads flags and environment (flags win) and checks them by a schema whose keys are the options'
 * names. Throws UsageError naming the option.
 */
export function readOptions<S extends z.ZodType>(
  args: readonly string[],
  specs: OptionSpecs,
  schema: S,
  env: Readonly<Record<string, string | undefined>>,
): ReadLine<z.output<S>> {
  const { options: given, positionals } = gatherOptions(args, specs, env);
  const result = schema.safeParse(given);
  if (result.success) return { options: result.data, positionals };
  const issue = result.error.issues[0];
  const name = String(issue?.path[0] ?? "?");
  throw new UsageError(
    given[name] === undefined
      ? `--${name} is required`
      : `--${name}: ${issue?.message ?? "is wrong"}`,
  );
}

/** What flags and environment (flags win) say, unchecked. Throws UsageError for unknown flags. */
export function gatherOptions(
  args: readonly string[],
  specs: OptionSpecs,
  env: Readonly<Record<string, string | undefined>>,
): ReadLine<Readonly<Record<string, unknown>>> {
  const config: ParseArgsOptionsConfig = {};
  for (const [name, spec] of Object.entries(specs)) {
    config[name] = {
      type: spec.value === undefined ? "boolean" : "string",
      ...(spec.short === undefined ? {} : { short: spec.short }),
      ...(spec.multiple === undefined ? {} : { multiple: spec.multiple }),
    };
  }
  const { values, positionals } = parseLine(args, config);
  const options: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(specs)) {
    const fromEnv = listVariables(spec).map((variable) => env[variable]);
    const value = values[name] ?? fromEnv.find((each) => each !== undefined && each !== "");
    if (value !== undefined) options[name] = value;
  }
  return { options, positionals };
}

function listVariables({ env = [] }: OptionSpec): readonly string[] {
  return typeof env === "string" ? [env] : env;
}

function parseLine(args: readonly string[], options: ParseArgsOptionsConfig) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // What follows in node:util's text is about positionals, and longer than the fault.
    throw new UsageError(message.replace(/\. To specify a positional[\s\S]*$/, ""));
  }
}

/** The options as lines of help. */
export function describeOptions(specs: OptionSpecs): string {
  const rows = Object.entries(specs).map(([name, spec]) => {
    const short = spec.short === undefined ? "" : `-${spec.short}, `;
    const flag = `  ${short}--${name}${spec.value === undefined ? "" : ` ${spec.value}`}`;
    const variables = listVariables(spec);
    const env = variables.length === 0 ? "" : ` (${variables.join(" or ")})`;
    return [flag, `${spec.help}${env}`] as const;
  });
  const width = Math.max(...rows.map(([flag]) => flag.length)) + 2;
  return rows.map(([flag, help]) => flag.padEnd(width) + help).join("\n");
}
