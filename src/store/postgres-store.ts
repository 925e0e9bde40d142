import type { Clock } from "../mesh/clock.ts";
import { systemClock } from "../mesh/clock.ts";
import { loadMigrations } from "./migrations.ts";
import type { StoreLimits } from "./postgres-backend.ts";
import { PostgresBackend } from "./postgres-backend.ts";
import { PostgresNotices } from "./postgres-notices.ts";
import { dropPartitions, ensurePartitions, findMonth, type Month } from "./postgres-partitions.ts";
import type { PostgresUrl } from "./postgres-url.ts";
import { parsePostgresUrl } from "./postgres-url.ts";
import { readRows } from "./record-row.ts";
import { readText } from "./sql-session.ts";
import { SqlStore } from "./sql-store.ts";
import { StoreError } from "./store.ts";

export interface PostgresStoreOptions {
  /** `postgres://USER:PASSWORD@HOST:PORT/DATABASE?…`. Never shown or logged as it is. */
  readonly url: string;
  readonly clock?: Clock;
  readonly limits?: Partial<StoreLimits>;
  /** Folder of the migrations; for tests. */
  readonly migrations?: URL;
}

/**
 * Opens the store in a Postgres database, whose schema `migrate()` then brings up to date. Any
 * number of processes may use one database; each takes 11 connections at most. Rejects with
 * StoreError when the address is wrong, nothing answers there, or the database does not hold
 * Unicode. Once open, a store outlives the server's absence: what is asked meanwhile is rejected.
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<PostgresStore> {
  const url = parsePostgresUrl(options.url);
  const clock = options.clock ?? systemClock;
  const limits = { ...defaultLimits, ...options.limits };
  const backend = new PostgresBackend({ url, clock, limits });
  try {
    const encoding = await readSetting(backend, "server_encoding");
    if (encoding !== "UTF8") {
      throw new StoreError(
        `The database ${url.label} holds ${encoding} and not Unicode: make another one, ` +
          "CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0.",
      );
    }
  } catch (error) {
    await backend.close();
    throw error;
  }
  return new PostgresStore(backend, { url, clock, migrations: options.migrations });
}

const defaultLimits: StoreLimits = {
  writeMs: 30_000,
  readMs: 30_000,
  scanMs: 60_000,
  migrateMs: 600_000,
  closeMs: 10_000,
};

/** A store in a Postgres database. */
export class PostgresStore extends SqlStore {
  readonly #backend: PostgresBackend;
  readonly #notices: PostgresNotices;
  readonly #clock: Clock;
  /** Months that are known to have their partitions. */
  readonly #months = new Set<string>();
  /** Where it is, for people. */
  readonly label: string;

  constructor(
    backend: PostgresBackend,
    {
      url,
      clock,
      migrations = new URL("./migrations/", import.meta.url),
    }: {
      readonly url: PostgresUrl;
      readonly clock: Clock;
      readonly migrations: URL | undefined;
    },
  ) {
    super({ backend, migrations: loadMigrations(migrations, "postgres"), clock });
    this.#backend = backend;
    this.#notices = new PostgresNotices(url, clock);
    this.#clock = clock;
    this.label = url.label;
  }

  /** Makes the months of the records first; the one that comes next is made in time, too. */
  override async appendBatches(batches: readonly Uint8Array[]): Promise<void> {
    const months = new Map<string, Month>();
    const add = (ms: number) => {
      const month = findMonth(ms);
      if (!this.#months.has(month.name)) months.set(month.name, month);
    };
    for (const { startMs } of readRows(batches)) add(startMs);
    add(this.#clock.wallMs() + AHEAD_MS);
    if (months.size > 0) {
      await this.#backend.transact("migrate", (session) =>
        ensurePartitions(session, [...months.values()]),
      );
      for (const { name, endMs } of months.values()) {
        if (endMs > this.#clock.wallMs() - KEPT_MS) this.#months.add(name);
      }
    }
    await super.appendBatches(batches);
  }

  /**
   * Months that ended before are dropped at once; what is older in the month itself, row by row.
   */
  override async expireRecords(beforeMs: number): Promise<number> {
    await this.#backend.transact("migrate", (session) => dropPartitions(session, beforeMs));
    return super.expireRecords(beforeMs);
  }

  onCommit(listener: () => void): () => void {
    return this.#notices.listen(listener);
  }

  /** What the server says of one of its settings. */
  readSetting(name: ServerSetting): Promise<string> {
    return readSetting(this.#backend, name);
  }

  override async close(): Promise<void> {
    await Promise.all([this.#notices.close(), this.#backend.close()]);
  }
}

/** How long before its beginning a month is made. */
const AHEAD_MS = 3 * 86_400_000;

/** Older months are looked for each time: another process may have dropped them meanwhile. */
const KEPT_MS = 31 * 86_400_000;

/** `fsync` off means that the server may lose what it has confirmed. */
export type ServerSetting = "server_encoding" | "server_version" | "fsync";

function readSetting(backend: PostgresBackend, name: ServerSetting): Promise<string> {
  return backend.transact("revision", async (session) => {
    const [row] = await session.rows("SELECT current_setting($1) AS value", [name]);
    return row === undefined ? "" : readText(row, "value");
  });
}
