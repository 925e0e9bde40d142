import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const PAUSE_MS = 20;
/** What one process has compiled the next need not: half of what a start costs. */
const NODE_COMPILE_CACHE = join(tmpdir(), "weir-test-compile-cache");
const KILL_MS = 30_000;

/** How a process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process of this machine, as its system tells it. */
export interface ProcessLine {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/**
 * A command of `src/main.ts` that a test runs, with all that it says. It never outlives the test's
 * process.
 */
export class OwnProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<Ending>;
  #output = "";

  constructor(args: readonly string[], env: Readonly<Record<string, string>>) {
    // Nothing else of the surroundings: a vendor's key or an option of Node would change what is
    // tested.
    const { PATH = "", HOME = "", TMPDIR = "" } = process.env;
    this.#child = spawn(process.execPath, ["src/main.ts", ...args], {
      env: { PATH, HOME, NODE_COMPILE_CACHE, ...(TMPDIR === "" ? {} : { TMPDIR }), ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const note = (text: string) => {
      this.#output += text;
    };
    this.#child.stdout?.setEncoding("utf8").on("data", note);
    this.#child.stderr?.setEncoding("utf8").on("data", note);
    this.#ended = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        note(String(error));
        resolve({ code: null, signal: null });
      });
      // Once the pipes are closed all that it said has been read, what its own children said
      // included.
      this.#child.once("close", (code, signal) => resolve({ code, signal }));
    });
    process.once("exit", this.#killAtExit);
    void this.#ended.then(() => process.removeListener("exit", this.#killAtExit));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** All that it and its children have said so far. */
  get output(): string {
    return this.#output;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /**
   * Resolves once it and its children are gone; fails, with what it said, when that takes too long.
   */
  async end(withinMs: number): Promise<Ending> {
    const ending = await Promise.race([this.#ended, delay(withinMs, undefined, { ref: false })]);
    if (ending !== undefined) return ending;
    throw new Error(
      `process ${this.pid} did not end in ${withinMs} ms:\n${this.#output.slice(-3000)}`,
    );
  }

  /** Its children that run now, and only those. */
  children(): ProcessLine[] {
    return listProcesses().filter(({ parent }) => parent === this.pid);
  }

  /** Kills it and its children, and waits until they are gone. */
  async destroy(): Promise<void> {
    if (this.running) {
      // The parent first, so that it starts no child anew.
      const children = this.children();
      this.#child.kill("SIGKILL");
      for (const { pid } of children) kill(pid);
    }
    await this.end(KILL_MS);
  }

  readonly #killAtExit = (): void => {
    if (!this.running) return;
    const children = this.children();
    this.#child.kill("SIGKILL");
    for (const { pid } of children) kill(pid);
  };
}

/** Asks until there is an answer that is neither undefined nor false; fails after `withinMs`. */
export async function until<T>(
  what: string | (() => string),
  withinMs: number,
  ask: () => T | Promise<T>,
): Promise<Exclude<T, undefined | false>> {
  const deadlineMs = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
    if (performance.now() > deadlineMs) {
      throw new Error(`not in ${withinMs} ms: ${typeof what === "string" ? what : what()}`);
    }
    await delay(PAUSE_MS);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is gone.
  }
}

/** All that runs on this machine. */
export function listProcesses(): ProcessLine[] {
  if (!existsSync("/proc/self/stat")) throw new Error("children are found by /proc");
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readProcess(Number(name)));
}

function readProcess(pid: number): ProcessLine[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state = "", parent = ""] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A zombie has ended: it only waits to be asked how.
    if (state === "Z") return [];
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    return [{ pid, parent: Number(parent), command }];
  } catch {
    return [];
  }
}
