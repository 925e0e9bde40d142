import { Worker } from "node:worker_threads";
import type { OperationName } from "./operations.ts";
import { createStoreError } from "./sqlite-failure.ts";
import type { LaneAnswer, LaneReport, LaneRequest, LaneSetup } from "./sqlite-messages.ts";
import { StoreError } from "./store.ts";

/** More waiting operations than this mean that the disk no longer keeps up. */
const PENDING_MAX = 10_000;

const threadScript = new URL("./sqlite-worker.ts", import.meta.url);

/**
 * This end of a lane's thread, which starts with the first call and, should it die, again with the
 * next.
 */
export class SqliteLane {
  readonly #setup: LaneSetup;
  readonly #script: URL;
  readonly #pending = new Map<number, Pending>();
  #worker: Worker | undefined;
  #lastId = 0;
  #closed = false;
  #transactions = 0;

  constructor(setup: LaneSetup, script = threadScript) {
    this.#setup = setup;
    this.#script = script;
  }

  /** How many transactions have reached the disk. */
  get transactions(): number {
    return this.#transactions;
  }

  /** Resolves once the file is open; rejects with StoreError when it cannot be. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const worker = this.#start();
      worker.once("message", (report: LaneReport) => {
        if (report.event === "unusable") reject(createStoreError(report.failure));
        else resolve();
        worker.unref();
      });
      worker.once("error", (cause) =>
        reject(new StoreError("The store's thread did not start.", cause)),
      );
    });
  }

  /** Rejects with StoreError. */
  run(name: OperationName, input: unknown): Promise<unknown> {
    if (this.#closed) return Promise.reject(new StoreError("The store is closed."));
    if (this.#pending.size >= PENDING_MAX) {
      return Promise.reject(
        new StoreError(`The store ${this.#setup.path} does not keep up: find a faster disk.`),
      );
    }
    return new Promise((resolve, reject) => {
      const worker = this.#worker ?? this.#start();
      this.#lastId += 1;
      const request: LaneRequest = { id: this.#lastId, name, input };
      worker.postMessage(request);
      if (this.#pending.size === 0) worker.ref();
      this.#pending.set(this.#lastId, { resolve, reject });
    });
  }

  /** Finishes what was begun, closes the connection and ends the thread. */
  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    if (worker === undefined) return;
    await new Promise((resolve) => {
      worker.ref();
      worker.once("exit", resolve);
      const request: LaneRequest = "close";
      worker.postMessage(request);
    });
  }

  /** An idle thread keeps no process alive. */
  #start(): Worker {
    const worker = new Worker(this.#script, {
      name: `store-${this.#setup.lane}`,
      workerData: this.#setup,
    });
    this.#worker = worker;
    let cause: unknown;
    worker.on("message", (report: LaneReport) => {
      if (report.event === "unusable") cause = createStoreError(report.failure);
      if (report.event !== "answers") return;
      this.#transactions += report.transactions;
      for (const answer of report.answers) this.#settle(answer);
      if (this.#pending.size === 0 && !this.#closed) worker.unref();
    });
    worker.on("error", (error) => {
      cause = error;
    });
    worker.once("exit", () => {
      if (this.#worker === worker) this.#worker = undefined;
      this.#abandon(cause);
    });
    return worker;
  }

  #settle(answer: LaneAnswer): void {
    const pending = this.#pending.get(answer.id);
    this.#pending.delete(answer.id);
    if (answer.ok) pending?.resolve(answer.output);
    else pending?.reject(createStoreError(answer.failure));
  }

  #abandon(cause: unknown): void {
    const error =
      cause instanceof StoreError
        ? cause
        : new StoreError(
            `The thread of the store ${this.#setup.path} ended; whether the write was kept is ` +
              "unknown: read before writing again.",
            cause,
          );
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
  }
}

interface Pending {
  resolve(output: unknown): void;
  reject(error: StoreError): void;
}
