import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import type { SqlSession } from "./sql-session.ts";
import { readInteger, readText } from "./sql-session.ts";
import { StoreError } from "./store.ts";

/** One numbered step of the schema. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

/** What `applyNextMigration` is told. */
export interface MigrationInput {
  readonly migrations: readonly Migration[];
  readonly atMs: number;
}

/**
 * Reads `0001-name.sql`, `0002-…` of a folder, in order. Where an engine goes about a step in its
 * own way, `0002-name.ENGINE.sql` stands for it. Throws StoreError when a number is missing or
 * twice there.
 */
export function loadMigrations(folder: URL, engine: "sqlite" | "postgres"): readonly Migration[] {
  const all = readdirSync(folder).filter((file) => file.endsWith(".sql"));
  const own = new Set(all.filter((file) => file.endsWith(`.${engine}.sql`)));
  const files = all.filter((file) => !/\.[a-z]+\.sql$/.test(file));
  const migrations = files.sort().map((each, index) => {
    const special = each.replace(/sql$/, `${engine}.sql`);
    const file = own.delete(special) ? special : each;
    const match = /^(\d{4})-([a-z0-9-]+)\.(?:[a-z]+\.)?sql$/.exec(file);
    const version = Number(match?.[1]);
    if (version !== index + 1) {
      throw new StoreError(
        `${file} in ${folder.pathname}: expected number ${index + 1}. Install Weir anew.`,
      );
    }
    // Some checkouts turn line ends about; that is no change.
    const sql = readFileSync(new URL(file, folder), "utf8").replaceAll("\r\n", "\n");
    const sha256 = createHash("sha256").update(sql).digest("hex");
    return { version, name: match?.[2] ?? "", sql, sha256 };
  });
  for (const special of own) {
    const each = special.replace(`.${engine}.sql`, ".sql");
    throw new StoreError(`${special} stands for ${each}, which is not there. Install Weir anew.`);
  }
  return migrations;
}

/**
 * Applies the first migration that is missing, within the caller's transaction, and returns its
 * number; undefined when none is. What is there is read inside the transaction: of several
 * instances, the second finds the work done. Throws StoreError when the schema is newer than this
 * program, or when an applied migration has changed since.
 */
export async function applyNextMigration(
  session: SqlSession,
  input: MigrationInput,
): Promise<number | undefined> {
  await session.run(
    `CREATE TABLE IF NOT EXISTS schema_migrations (
       version INTEGER NOT NULL PRIMARY KEY,
       name TEXT NOT NULL,
       sha256 TEXT NOT NULL,
       applied_ms BIGINT NOT NULL
     )`,
  );
  const rows = await session.rows(
    "SELECT version, name, sha256 FROM schema_migrations ORDER BY version",
  );
  const applied = new Map(rows.map((row) => [readInteger(row, "version"), row]));
  assertNotNewer(Math.max(0, ...applied.keys()), input.migrations.length);
  for (const migration of input.migrations) {
    const row = applied.get(migration.version);
    if (row !== undefined) {
      assertUnchanged(migration, readText(row, "sha256"));
      continue;
    }
    await session.script(migration.sql);
    await session.run(
      "INSERT INTO schema_migrations (version, name, sha256, applied_ms) VALUES ($1, $2, $3, $4)",
      [migration.version, migration.name, migration.sha256, input.atMs],
    );
    return migration.version;
  }
  return undefined;
}

function assertNotNewer(found: number, known: number): void {
  if (found <= known) return;
  throw new StoreError(
    `The store has schema ${found}, and this Weir knows no newer one than ${known}. ` +
      "Run the newer Weir that wrote it, or restore the backup made before the upgrade.",
  );
}

function assertUnchanged(migration: Migration, sha256: string): void {
  if (migration.sha256 === sha256) return;
  throw new StoreError(
    `Migration ${migration.version} (${migration.name}) is not the one that this store was made ` +
      "with. Install an unmodified Weir of the version that made the store, or a newer one.",
  );
}
