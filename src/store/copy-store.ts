import pg from "pg";
import type { Clock } from "../mesh/clock.ts";
import type { TableDigest, TableShape } from "./copy-rows.ts";
import { copyTable, digestTable, listTables } from "./copy-rows.ts";
import { loadMigrations } from "./migrations.ts";
import { createClientConfig, SCHEMA_LOCK } from "./postgres-backend.ts";
import { describePostgresFailure } from "./postgres-failure.ts";
import {
  ensurePartitions,
  findMonth,
  type Month,
  partitionedTables,
} from "./postgres-partitions.ts";
import { PostgresSession } from "./postgres-session.ts";
import { openPostgresStore } from "./postgres-store.ts";
import { parsePostgresUrl } from "./postgres-url.ts";
import type { SqlSession } from "./sql-session.ts";
import { readInteger } from "./sql-session.ts";
import { readResultCode, SqliteEngine } from "./sqlite-engine.ts";
import { createStoreError, describeFailure } from "./sqlite-failure.ts";
import { readApplied, readStatus } from "./status-operation.ts";
import { StoreError } from "./store.ts";

/** What is to be copied. */
export interface CopyOrder {
  /** A SQLite file of a Weir that does not run. */
  readonly from: string;
  /** The address of a Postgres database that holds nothing of a Weir's. */
  readonly to: string;
  readonly clock: Clock;
  /** Told of each table that is there, and the same on both sides. */
  readonly onTable: (table: TableDigest) => void;
}

/**
 * Copies a whole store from SQLite to Postgres, in one transaction: afterwards the target holds
 * the same, compared table by table by number and digest, or nothing. Rejects with StoreError when
 * the target is not empty, the source's schema is not this program's, something writes to the
 * source meanwhile, or an engine fails.
 */
export async function copyToPostgres(order: CopyOrder): Promise<void> {
  const { label } = parsePostgresUrl(order.to);
  try {
    const source = new SqliteEngine(order.from, { readOnly: true, busyTimeoutMs: 5_000 });
    try {
      await assertSchema(source, order.from);
      await prepareTarget(order);
      await copyAll(source, order);
    } finally {
      source.close();
    }
  } catch (error) {
    if (readResultCode(error) === undefined) throw describePostgresFailure(error, label);
    throw createStoreError(describeFailure(error, order.from));
  }
}

async function assertSchema(source: SqlSession, path: string): Promise<void> {
  const applied = await readApplied(source);
  const known = loadMigrations(folder, "sqlite").length;
  if (applied.length === known) return;
  throw new StoreError(
    `${path} has schema ${applied.at(-1) ?? 0}, and this Weir has ${known}: bring it up to date ` +
      "first, by `weir db migrate` without --database-url.",
  );
}

const folder = new URL("./migrations/", import.meta.url);

async function prepareTarget({ to, clock }: CopyOrder): Promise<void> {
  const store = await openPostgresStore({ url: to, clock });
  try {
    // Before anything is changed there.
    const { revision, records, installationId } = await store.status();
    if (revision > 0 || records > 0 || installationId !== "") throw createNotEmpty(store.label);
    await store.migrate();
  } finally {
    await store.close();
  }
}

async function copyAll(source: SqliteEngine, { from, to, onTable }: CopyOrder): Promise<void> {
  const url = parsePostgresUrl(to);
  const client = new pg.Client({ ...createClientConfig(url), pipeline: true });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query(
      "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL synchronous_commit = on; " +
        `SELECT pg_advisory_xact_lock(${SCHEMA_LOCK}); LOCK TABLE counters IN EXCLUSIVE MODE`,
    );
    const target = new PostgresSession(client);
    // All reads see one state of the source, whoever writes to it.
    source.script("BEGIN");
    const before = await countWrites(source);
    const tables = await listTables(source);
    await assertEmpty(target, tables, url.label);
    // The one row that a migration makes.
    await target.run("DELETE FROM counters");
    await ensurePartitions(target, await listMonths(source));
    for (const table of tables) {
      const read = await copyTable(source, target, table);
      assertSame(read, await digestTable(target, table));
      onTable(read);
    }
    source.script("ROLLBACK");
    if ((await countWrites(source)) !== before) {
      throw new StoreError(
        `${from} was written to while it was copied: stop the Weir that uses it, then copy again. ` +
          "Nothing was kept.",
      );
    }
    await client.query("COMMIT");
  } finally {
    // Without COMMIT this undoes everything.
    await client.end();
  }
}

/** The months that the source has requests or labels of. */
async function listMonths(source: SqlSession): Promise<readonly Month[]> {
  const months = new Map<string, Month>();
  for (const table of partitionedTables) {
    for (let after = Number.MIN_SAFE_INTEGER; ; ) {
      const next = `SELECT MIN(start_ms) AS ms FROM ${table} WHERE start_ms >= $1`;
      const [row] = await source.rows(next, [after]);
      if (row === undefined || row.ms === null) break;
      const month = findMonth(readInteger(row, "ms"));
      months.set(month.name, month);
      after = month.endMs;
    }
  }
  return [...months.values()];
}

/** Differs when something was written in between. */
async function countWrites(source: SqlSession): Promise<string> {
  const { revision, records } = await readStatus(source, []);
  return `${revision} ${records}`;
}

async function assertEmpty(
  target: SqlSession,
  tables: readonly TableShape[],
  label: string,
): Promise<void> {
  for (const { name } of tables) {
    if (name === "counters") continue;
    const [row] = await target.rows(`SELECT COUNT(*) AS n FROM (SELECT 1 FROM ${name} LIMIT 1) x`);
    if (row === undefined || readInteger(row, "n") > 0) throw createNotEmpty(label);
  }
}

function createNotEmpty(label: string): StoreError {
  return new StoreError(
    `The database ${label} holds a Weir already: name an empty one. Nothing was copied.`,
  );
}

function assertSame(read: TableDigest, written: TableDigest): void {
  if (read.rows === written.rows && read.sha256 === written.sha256) return;
  throw new StoreError(
    `Table ${read.name} did not arrive as it was (${read.rows} rows ${read.sha256}, but ` +
      `${written.rows} rows ${written.sha256}). Nothing was kept: report this as a fault of Weir.`,
  );
}
