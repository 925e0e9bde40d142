import type { Migration } from "./migrations.ts";
import type { SqlSession } from "./sql-session.ts";
import { readInteger, readText } from "./sql-session.ts";

/** What a store holds, for people. */
export interface StoreStatus {
  /** Versions of the schema that are there, rising; none in a store that was never migrated. */
  readonly applied: readonly number[];
  /** Versions that this program would still apply. */
  readonly missing: readonly number[];
  /** Empty while there is none. */
  readonly installationId: string;
  readonly revision: number;
  readonly resources: number;
  readonly changes: number;
  readonly records: number;
}

/** Looks, and writes nothing, not even into a store that has no schema yet. */
export async function readStatus(
  session: SqlSession,
  migrations: readonly Migration[],
): Promise<StoreStatus> {
  const applied = await readApplied(session);
  const missing = migrations
    .map(({ version }) => version)
    .filter((each) => !applied.includes(each));
  const count = async (table: string) => {
    if (!(await session.hasTable(table))) return 0;
    const [row] = await session.rows(`SELECT COUNT(*) AS n FROM ${table}`);
    return row === undefined ? 0 : readInteger(row, "n");
  };
  return {
    applied,
    missing,
    installationId: await readInstallationId(session),
    revision: await readNewestRevision(session),
    resources: await count("resources"),
    changes: await count("changes"),
    records: await count("requests"),
  };
}

/** The versions of the schema that are there, rising. */
export async function readApplied(session: SqlSession): Promise<readonly number[]> {
  if (!(await session.hasTable("schema_migrations"))) return [];
  const rows = await session.rows("SELECT version FROM schema_migrations ORDER BY version");
  return rows.map((row) => readInteger(row, "version"));
}

async function readInstallationId(session: SqlSession): Promise<string> {
  if (!(await session.hasTable("installation"))) return "";
  const [row] = await session.rows("SELECT value FROM installation WHERE key = 'id'");
  return row === undefined ? "" : readText(row, "value");
}

async function readNewestRevision(session: SqlSession): Promise<number> {
  if (!(await session.hasTable("counters"))) return 0;
  const [row] = await session.rows("SELECT revision FROM counters WHERE id = 1");
  return row === undefined ? 0 : readInteger(row, "revision");
}
