import type { StatementSync } from "node:sqlite";
import { DatabaseSync } from "node:sqlite";
import type { SqlRow, SqlSession, SqlValue } from "./sql-session.ts";

const STATEMENTS_MAX = 200;
const WAL_TRIES = 100;
const WAL_PAUSE_MS = 20;

/**
 * One connection to a SQLite file, for the thread that made it; the only file that touches
 * `node:sqlite`. Every method blocks, and throws the error of `node:sqlite` (`errcode` is SQLite's
 * result code).
 */
export class SqliteEngine implements SqlSession {
  readonly #database: DatabaseSync;
  /** By the text before translation; the longest unused goes first. */
  readonly #statements = new Map<string, Prepared>();

  constructor(path: string, { readOnly, busyTimeoutMs }: SqliteEngineOptions) {
    this.#database = new DatabaseSync(path, { timeout: busyTimeoutMs });
    try {
      this.#enterWal();
      // FULL: a commit has reached the disk when it returns.
      this.script(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY",
      );
      this.script(
        "PRAGMA journal_size_limit = 67108864; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -16384",
      );
      if (readOnly) this.script("PRAGMA query_only = ON");
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  get inTransaction(): boolean {
    return this.#database.isTransaction;
  }

  rows(sql: string, values: readonly SqlValue[] = []): readonly SqlRow[] {
    const prepared = this.#prepare(sql);
    return prepared.statement.all(...prepared.arrange(values));
  }

  run(sql: string, values: readonly SqlValue[] = []): number {
    const prepared = this.#prepare(sql);
    return Number(prepared.statement.run(...prepared.arrange(values)).changes);
  }

  runEach(sql: string, sets: readonly (readonly SqlValue[])[]): readonly number[] {
    if (sets.length === 0) return [];
    const { statement, arrange } = this.#prepare(sql);
    return sets.map((values) => Number(statement.run(...arrange(values)).changes));
  }

  script(sql: string): void {
    this.#database.exec(sql);
  }

  hasTable(name: string): boolean {
    const named = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1";
    return this.rows(named, [name]).length > 0;
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  /**
   * Of two processes that turn a new file to WAL at the same moment, SQLite refuses one at once
   * instead of letting it wait, since each already reads; it finds the work done when it tries
   * again.
   */
  #enterWal(): void {
    for (let tries = 1; ; tries += 1) {
      try {
        this.script("PRAGMA journal_mode = WAL");
        return;
      } catch (error) {
        if (readResultCode(error) !== 5 || tries === WAL_TRIES) throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAL_PAUSE_MS);
      }
    }
  }

  #prepare(sql: string): Prepared {
    const known = this.#statements.get(sql);
    if (known !== undefined) {
      this.#statements.delete(sql);
      this.#statements.set(sql, known);
      return known;
    }
    const prepared = createPrepared(this.#database, sql);
    this.#statements.set(sql, prepared);
    if (this.#statements.size > STATEMENTS_MAX) {
      const [oldest] = this.#statements.keys();
      if (oldest !== undefined) this.#statements.delete(oldest);
    }
    return prepared;
  }
}

export interface SqliteEngineOptions {
  /** True to refuse writes. */
  readonly readOnly: boolean;
  /** How long a writer waits for another process that is writing, in milliseconds. */
  readonly busyTimeoutMs: number;
}

/** SQLite's primary result code of an error; undefined when it is none of SQLite's. */
export function readResultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode & 0xff : undefined;
}

interface Prepared {
  readonly statement: StatementSync;
  /** Values as the statement's own placeholders take them. */
  arrange(values: readonly SqlValue[]): readonly SqlValue[];
}

/**
 * `node:sqlite` binds by position only to `?`: turns `$2 … $1` into `? … ?` and remembers the
 * order.
 */
function createPrepared(database: DatabaseSync, sql: string): Prepared {
  const order: number[] = [];
  const text = sql.replaceAll(/\$(\d+)/g, (_, digits: string) => {
    order.push(Number(digits) - 1);
    return "?";
  });
  const statement = database.prepare(text);
  if (order.every((position, index) => position === index)) {
    return { statement, arrange: (values) => values };
  }
  return { statement, arrange: (values) => order.map((position) => values[position] ?? null) };
}
