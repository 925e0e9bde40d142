import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";

const cores = availableParallelism();
const pins = cores > 1 && hasCommand("taskset");

/** The server that is measured has core 0 for itself; what feeds it stays off that core. */
export const serverCore = pins ? 0 : undefined;
export const mockCore = pins ? 1 : undefined;
export const loadCore = pins ? Math.min(2, cores - 1) : undefined;

/** How the processes lie on this machine, in a sentence. */
export function describeCores(): string {
  if (!pins) return "Processes are not pinned: taskset is missing, or there is one core only.";
  const load = loadCore === mockCore ? "which the load shares" : `the load on core ${loadCore}`;
  return `${cores} cores; each server runs on core ${serverCore}, upstream and control on core ${mockCore}, ${load}.`;
}

/** Whether a program is installed. */
export function hasCommand(name: string): boolean {
  try {
    execFileSync("which", [name], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

export interface StartOptions {
  /** A core, or undefined to let the kernel choose. */
  readonly core: number | undefined;
  readonly env?: Readonly<Record<string, string>>;
  /** Where stderr goes, and stdout when nobody reads it. */
  readonly log: string;
}

/** A process of the bench: started, read line by line, ended. */
export class BenchProcess {
  readonly pid: number;
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #exited: Promise<void>;

  constructor(name: string, command: readonly string[], options: StartOptions) {
    const pinned =
      options.core === undefined ? command : ["taskset", "-c", String(options.core), ...command];
    const [program = "", ...args] = pinned;
    const child = spawn(program, args, {
      env: { ...process.env, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.name = name;
    this.#child = child;
    this.pid = child.pid ?? 0;
    child.stderr.pipe(createWriteStream(options.log, { flags: "a" }));
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    this.#exited = new Promise((resolve) => child.once("exit", () => resolve()));
  }

  /** The next line that the process prints, as JSON. Throws when the process ends instead, or after `seconds`. */
  async readLine<T>(seconds: number): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const text = `${this.name} said nothing within ${seconds} s`;
      timer = setTimeout(() => reject(new Error(text)), seconds * 1000);
    });
    try {
      const { value, done } = await Promise.race([this.#lines.next(), late]);
      if (done === true) throw new Error(`${this.name} ended early`);
      return JSON.parse(value);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Lets go of the process's stdin, which ends one that waits for it. */
  endInput(): void {
    this.#child.stdin?.end();
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5000);
    await this.#exited;
    clearTimeout(timer);
  }
}

/** A Node script of this folder, which prints where it listens. */
export function startScript(script: string, args: readonly string[], options: StartOptions) {
  const file = new URL(script, import.meta.url).pathname;
  return new BenchProcess(script, [process.execPath, file, ...args], options);
}
