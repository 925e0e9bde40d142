import { type ChildProcess, fork } from "node:child_process";
import type { Clock, Timer } from "../mesh/clock.ts";
import type { Log } from "../telemetry/log.ts";
import { CHILD_VARIABLE, DRAIN_MESSAGE } from "./termination.ts";

/** A process that must run. */
export interface ChildSpec {
  /** For the log, such as `proxy-0`. */
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told of what the child says over its channel. */
  onMessage?(message: unknown): void;
  /** Told when its very first start ends with REFUSED_CODE; it is not started again then. */
  onRefusal?(): void;
}

/** The exit code of a command that cannot do what its line says, and has said why. */
export const REFUSED_CODE = 2;

/**
 * Delay before a restart: doubled with each crash in a row, forgotten after a while of good
 * service.
 */
const RESTART_MIN_MS = 100;
const RESTART_MAX_MS = 5_000;
const GOOD_SERVICE_MS = 30_000;

/** Keeps one process running until it is told to stop. */
export class Supervised {
  readonly #spec: ChildSpec;
  readonly #clock: Clock;
  readonly #log: Log;
  #child: ChildProcess | undefined;
  #restartMs = RESTART_MIN_MS;
  #restart: Timer | undefined;
  #starts = 0;
  #stopping = false;
  #onGone: (() => void) | undefined;

  constructor(spec: ChildSpec, clock: Clock, log: Log) {
    this.#spec = spec;
    this.#clock = clock;
    this.#log = log;
    this.#start();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Asks the process to drain and waits until it is gone. */
  stop(): Promise<void> {
    this.#stopping = true;
    this.#restart?.cancel();
    const child = this.#child;
    if (child === undefined) return Promise.resolve();
    if (child.connected) child.send(DRAIN_MESSAGE, ignore);
    // One that is still starting does not listen yet, and has nothing to finish.
    child.kill("SIGTERM");
    return new Promise((resolve) => {
      this.#onGone = resolve;
    });
  }

  /** Ends the process at once. */
  kill(): void {
    this.#stopping = true;
    this.#restart?.cancel();
    this.#child?.kill("SIGKILL");
  }

  #start(): void {
    const [script, ...args] = this.#spec.args;
    if (script === undefined) return;
    const startedMs = this.#clock.now();
    this.#starts++;
    const child = fork(script, args, {
      env: { ...this.#spec.env, [CHILD_VARIABLE]: "1" },
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#child = child;
    child.on("message", (message) => this.#spec.onMessage?.(message));
    child.on("error", (error) => {
      this.#log.error({ name: this.#spec.name, error: error.message }, "process failed to start");
    });
    child.on("exit", (code, signal) => this.#exited(startedMs, code, signal));
  }

  #exited(startedMs: number, code: number | null, signal: NodeJS.Signals | null): void {
    this.#child = undefined;
    this.#onGone?.();
    if (this.#stopping) return;
    // Later on it is not the line that is wrong: by the same one it has served before.
    if (code === REFUSED_CODE && this.#starts === 1 && this.#spec.onRefusal !== undefined) {
      this.#stopping = true;
      this.#spec.onRefusal();
      return;
    }
    if (this.#clock.now() - startedMs > GOOD_SERVICE_MS) this.#restartMs = RESTART_MIN_MS;
    this.#log.error(
      { name: this.#spec.name, code, signal, restartMs: this.#restartMs },
      "process ended; starting it again",
    );
    this.#restart = this.#clock.after(this.#restartMs, () => this.#start());
    this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MAX_MS);
  }
}

/** A child that is gone needs to be told nothing. */
function ignore(): void {}
