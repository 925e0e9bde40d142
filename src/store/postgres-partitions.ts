import type { SqlSession } from "./sql-session.ts";
import { readText } from "./sql-session.ts";

/** The tables of the ledger that Postgres keeps by month of `start_ms`, in UTC. */
export const partitionedTables = ["requests", "request_labels"] as const;

const keys = { requests: "request_id", request_labels: "request_id, label_key" } as const;

/** A month in UTC, such as `2026_11`. */
export interface Month {
  readonly name: string;
  readonly startMs: number;
  /** Exclusive. */
  readonly endMs: number;
}

/** The month that a time is in. */
export function findMonth(ms: number): Month {
  const date = new Date(ms);
  const year = date.getUTCFullYear();
  const month = date.getUTCMonth();
  return {
    name: `${year}_${String(month + 1).padStart(2, "0")}`,
    startMs: Date.UTC(year, month),
    endMs: Date.UTC(year, month + 1),
  };
}

/**
 * Makes the partitions of these months where they are not there yet. The caller holds the lock of
 * the schema. A partition is made by itself and then attached, which holds up neither those who
 * write to the others nor those who read.
 */
export async function ensurePartitions(
  session: SqlSession,
  months: readonly Month[],
): Promise<void> {
  for (const { name, startMs, endMs } of months) {
    for (const table of partitionedTables) {
      const partition = `${table}_${name}`;
      if (await session.hasTable(partition)) continue;
      await session.script(
        `CREATE TABLE ${partition} (LIKE ${table} INCLUDING DEFAULTS, PRIMARY KEY (${keys[table]}));
         ALTER TABLE ${table} ATTACH PARTITION ${partition}
           FOR VALUES FROM (${startMs}) TO (${endMs})`,
      );
    }
  }
}

/**
 * Drops the partitions of the months that ended before a time; returns their names. Rejects when
 * readers hold them longer than a moment: then the next round drops them.
 */
export async function dropPartitions(
  session: SqlSession,
  beforeMs: number,
): Promise<readonly string[]> {
  const dropped: string[] = [];
  await session.script(`SET LOCAL lock_timeout = ${LOCK_MS}`);
  for (const table of partitionedTables) {
    for (const partition of await listPartitions(session, table)) {
      const end = endOf(partition.slice(table.length + 1));
      if (end === undefined || end > beforeMs) continue;
      await session.script(`DROP TABLE ${partition}`);
      dropped.push(partition);
    }
  }
  return dropped;
}

/** Whoever waits for a lock holds up all who come after. */
const LOCK_MS = 2_000;

async function listPartitions(session: SqlSession, table: string): Promise<readonly string[]> {
  const rows = await session.rows(
    `SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = to_regclass($1) ORDER BY 1`,
    [table],
  );
  return rows.map((row) => readText(row, "name"));
}

/** When a month of such a name ends; undefined when it is no such name. */
function endOf(name: string): number | undefined {
  const match = /^(\d{4})_(\d{2})$/.exec(name);
  return match === null ? undefined : Date.UTC(Number(match[1]), Number(match[2]));
}
