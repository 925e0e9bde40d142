import { join } from "node:path";
import type { Clock } from "../mesh/clock.ts";
import type { SqlStore } from "../store/sql-store.ts";
import { openSqliteStore } from "../store/sqlite-store.ts";

/** Where a control process keeps everything. */
export interface StorePlan {
  /** A Postgres; undefined means a SQLite file in the data directory. */
  readonly databaseUrl: string | undefined;
  readonly dataDir: string;
  readonly clock: Clock;
}

/** Opens the store, not migrated. Rejects with StoreError. */
export async function openStore({ databaseUrl, dataDir, clock }: StorePlan): Promise<SqlStore> {
  if (databaseUrl === undefined) return openSqliteStore({ path: storeFile(dataDir), clock });
  // Its driver is loaded by those who use it.
  const { openPostgresStore } = await import("../store/postgres-store.ts");
  return openPostgresStore({ url: databaseUrl, clock });
}

/** The SQLite file of a data directory. */
export function storeFile(dataDir: string): string {
  return join(dataDir, "weir.db");
}
