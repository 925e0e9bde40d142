import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { Absent } from "./suite.ts";

const FETCH_MS = 600_000;
const BUILD_MS = 300_000;
const VERSION_MS = 20_000;

/** How to run a command. */
export interface CommandOptions {
  readonly timeoutMs: number;
  /** Default: where the tests run. */
  readonly cwd?: string;
  /** Beside, or instead of, what this process has. */
  readonly env?: Readonly<Record<string, string>>;
  /** Sees each line of standard output as it comes. */
  readonly onLine?: (line: string) => void;
}

/** How a command ended. */
export interface CommandEnd {
  /** Undefined when it had to be killed, or could not be started. */
  readonly code: number | undefined;
  /** What it said: standard output when nobody saw its lines, and standard error. */
  readonly output: string;
}

type Command = readonly [string, ...string[]];

/** Runs a command to its end, and kills it with all that it started when that takes too long. */
export function runBounded(command: Command, options: CommandOptions): Promise<CommandEnd> {
  const [file, ...args] = command;
  const child = spawn(file, args, {
    // A group of its own, so that its children can be ended with it.
    detached: true,
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const note = (text: string) => {
    output += `${text}\n`;
  };
  createInterface({ input: child.stdout }).on("line", options.onLine ?? note);
  createInterface({ input: child.stderr }).on("line", note);
  const killAtExit = () => killGroup(child);
  process.once("exit", killAtExit);
  return new Promise((resolve) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      note(`it was ended after ${options.timeoutMs} ms`);
      killGroup(child);
    }, options.timeoutMs);
    const end = (code: number | undefined) => {
      clearTimeout(timer);
      process.removeListener("exit", killAtExit);
      resolve({ code: late ? undefined : code, output: output.trim() });
    };
    child.once("error", (error) => {
      note(String(error));
      end(undefined);
    });
    child.once("close", (code) => end(code ?? undefined));
  });
}

/** Fetches something pinned. Throws Absent when that fails, as without its registry. */
export async function fetchBy(command: Command, options: Partial<CommandOptions> = {}) {
  const { code, output } = await runBounded(command, { timeoutMs: FETCH_MS, ...options });
  if (code !== 0) throw new Absent(`\`${command.join(" ")}\` failed: ${cutLines(output)}`);
}

/** Runs a step that must succeed wherever the toolchain is there. Throws when it does not. */
export async function buildBy(command: Command, options: Partial<CommandOptions> = {}) {
  const { code, output } = await runBounded(command, { timeoutMs: BUILD_MS, ...options });
  if (code !== 0) throw new Error(`\`${command.join(" ")}\` failed: ${cutLines(output)}`);
}

/** What a tool says of its version. Throws Absent when there is no such tool. */
export async function findTool(...command: Command): Promise<string> {
  const { code, output } = await runBounded(command, { timeoutMs: VERSION_MS });
  if (code !== 0) throw new Absent(`there is no working \`${command[0]}\` here`);
  return output;
}

/** The end of an output, where tools say what went wrong, on one line. */
function cutLines(output: string): string {
  return output.split("\n").slice(-8).join(" | ").slice(-1_000);
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // All of it is gone.
  }
}
