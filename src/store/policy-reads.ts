import type { ChangeRow } from "./change-rows.ts";
import { changeColumns, readChangeRow } from "./change-rows.ts";
import type { ResourceRow } from "./resource-rows.ts";
import { readResourceRow, resourceColumns } from "./resource-rows.ts";
import type { SqlSession } from "./sql-session.ts";
import { Bindings, readInteger } from "./sql-session.ts";
import type { ChangePage, ResourcePage } from "./store.ts";

/** Behind every name: no code point is greater. */
const LAST = "\u{10FFFF}";

export async function readRevision(session: SqlSession): Promise<number> {
  const [row] = await session.rows("SELECT revision FROM counters WHERE id = 1");
  return row === undefined ? 0 : readInteger(row, "revision");
}

export async function readAllResources(
  session: SqlSession,
): Promise<{ readonly revision: number; readonly rows: readonly ResourceRow[] }> {
  const revision = await readRevision(session);
  const rows = await session.rows(`SELECT ${resourceColumns} FROM resources ORDER BY name`);
  return { revision, rows: rows.map(readResourceRow) };
}

export async function getResource(
  session: SqlSession,
  name: string,
): Promise<ResourceRow | undefined> {
  const [row] = await session.rows(`SELECT ${resourceColumns} FROM resources WHERE name = $1`, [
    name,
  ]);
  return row && readResourceRow(row);
}

export async function listResources(
  session: SqlSession,
  page: ResourcePage,
): Promise<readonly ResourceRow[]> {
  const rows = await session.rows(
    `SELECT ${resourceColumns} FROM resources
     WHERE kind = $1 AND name >= $2 AND name < $3 AND name > $4 ORDER BY name LIMIT $5`,
    [page.kind, page.namePrefix, page.namePrefix + LAST, page.afterName, page.limit],
  );
  return rows.map(readResourceRow);
}

export async function findSecret(
  session: SqlSession,
  sha256Hex: string,
): Promise<ResourceRow | undefined> {
  const [row] = await session.rows(
    `SELECT ${resourceColumns} FROM resources
     WHERE name = (SELECT key_name FROM key_secrets WHERE sha256_hex = $1)`,
    [sha256Hex],
  );
  return row && readResourceRow(row);
}

/**
 * Whole revisions: the last is completed even beyond the limit, or a reader that goes on behind it
 * would miss its rest.
 */
export async function readChangesSince(
  session: SqlSession,
  input: { readonly revision: number; readonly limit: number },
): Promise<readonly ChangeRow[]> {
  const rows = await session.rows(
    `SELECT ${changeColumns} FROM changes WHERE revision > $1 AND revision <= (
       SELECT MAX(l.revision) FROM (
         SELECT revision FROM changes WHERE revision > $1 ORDER BY sequence LIMIT $2
       ) l
     ) ORDER BY sequence`,
    [input.revision, input.limit],
  );
  return rows.map(readChangeRow);
}

export async function readHistory(
  session: SqlSession,
  page: ChangePage,
): Promise<readonly ChangeRow[]> {
  const bindings = new Bindings();
  const conditions = ["1 = 1"];
  if (page.beforeSequence > 0) conditions.push(`sequence < ${bindings.bind(page.beforeSequence)}`);
  if (page.name !== "") conditions.push(`name = ${bindings.bind(page.name)}`);
  const rows = await session.rows(
    `SELECT ${changeColumns} FROM changes WHERE ${conditions.join(" AND ")}
     ORDER BY sequence DESC LIMIT ${bindings.bind(page.limit)}`,
    bindings.values,
  );
  return rows.map(readChangeRow);
}

/** The resource as a revision left it. */
export async function readResourceAt(
  session: SqlSession,
  input: { readonly name: string; readonly revision: number },
): Promise<ResourceRow | undefined> {
  const [row] = await session.rows(
    `SELECT ${changeColumns} FROM changes WHERE name = $1 AND revision <= $2
     ORDER BY sequence DESC LIMIT 1`,
    [input.name, input.revision],
  );
  return row && readChangeRow(row).after;
}
