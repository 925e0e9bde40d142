import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Clock } from "../mesh/clock.ts";
import { systemClock } from "../mesh/clock.ts";
import { loadMigrations } from "./migrations.ts";
import type { OperationInput, OperationName, OperationOutput, SqlBackend } from "./operations.ts";
import { operationLanes } from "./operations.ts";
import { SqlStore } from "./sql-store.ts";
import { SqliteLane } from "./sqlite-lane.ts";
import { StoreError } from "./store.ts";

export interface SqliteStoreOptions {
  /** The file. It is made, with its directories, readable by this user alone. */
  readonly path: string;
  readonly clock?: Clock;
  /** How long a write waits for another process that is writing, in milliseconds. Default 5,000. */
  readonly busyTimeoutMs?: number;
  /** Folder of the migrations; for tests. */
  readonly migrations?: URL;
}

/**
 * Opens the store in a SQLite file, whose schema `migrate()` then brings up to date. Several
 * processes may open one file. Rejects with StoreError when the file cannot be made or opened.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<SqliteStore> {
  const path = resolve(options.path);
  createFile(path);
  const backend = new SqliteBackend(path, options.busyTimeoutMs ?? 5_000);
  await backend.open();
  return new SqliteStore(backend, options);
}

/** A store in a SQLite file. */
export class SqliteStore extends SqlStore {
  readonly #backend: SqliteBackend;

  constructor(backend: SqliteBackend, options: SqliteStoreOptions) {
    super({
      backend,
      migrations: loadMigrations(
        options.migrations ?? new URL("./migrations/", import.meta.url),
        "sqlite",
      ),
      clock: options.clock ?? systemClock,
    });
    this.#backend = backend;
  }

  /**
   * How many writing transactions have reached the disk; below the number of writes when they came
   * in groups.
   */
  get transactions(): number {
    return this.#backend.transactions;
  }
}

/** Three threads: writes, short reads, scans of the ledger; none waits for another. */
export class SqliteBackend implements SqlBackend {
  readonly #lanes: Readonly<Record<"write" | "read" | "scan", SqliteLane>>;

  constructor(path: string, busyTimeoutMs: number) {
    this.#lanes = {
      write: new SqliteLane({ path, busyTimeoutMs, lane: "write" }),
      read: new SqliteLane({ path, busyTimeoutMs, lane: "read" }),
      scan: new SqliteLane({ path, busyTimeoutMs, lane: "scan" }),
    };
  }

  get transactions(): number {
    return this.#lanes.write.transactions;
  }

  /**
   * The writer first: it makes the file what the readers expect. The scans begin when one is asked.
   */
  async open(): Promise<void> {
    try {
      await this.#lanes.write.open();
      await this.#lanes.read.open();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** The one cast: the thread runs the operation of this name and returns what it returns. */
  run<K extends OperationName>(name: K, input: OperationInput<K>): Promise<OperationOutput<K>> {
    const lane = this.#lanes[operationLanes[name]];
    return lane.run(name, input) as Promise<OperationOutput<K>>;
  }

  /** The writer last: as the last connection it moves what is in the log into the file. */
  async close(): Promise<void> {
    await Promise.all([this.#lanes.read.close(), this.#lanes.scan.close()]);
    await this.#lanes.write.close();
  }
}

/** SQLite gives the files beside it the same mode. */
function createFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    closeSync(openSync(path, "a", 0o600));
  } catch (cause) {
    throw new StoreError(
      `The store ${path} cannot be made or written: name a path where this process's user may ` +
        "write, or give it permission.",
      cause,
    );
  }
}
