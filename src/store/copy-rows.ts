import type { Hash } from "node:crypto";
import { createHash } from "node:crypto";
import { mapValue } from "./postgres-session.ts";
import type { SqlRow, SqlSession, SqlValue } from "./sql-session.ts";
import { readInteger, readText } from "./sql-session.ts";
import { StoreError } from "./store.ts";

/** A table, as the store that is copied describes it itself: nothing can be forgotten in a list. */
export interface TableShape {
  readonly name: string;
  readonly columns: readonly ColumnShape[];
  /** Its columns by which rows are told apart, in order. */
  readonly key: readonly ColumnShape[];
}

interface ColumnShape {
  readonly name: string;
  readonly kind: "text" | "integer" | "bytes";
}

/** What a table holds: two with the same number and digest hold the same. */
export interface TableDigest {
  readonly name: string;
  readonly rows: number;
  /** SHA-256 over all values of all rows in the order of the key, in hexadecimal. */
  readonly sha256: string;
}

/** Every table of a SQLite store but the history of its migrations, which belongs to the engine. */
export async function listTables(sqlite: SqlSession): Promise<readonly TableShape[]> {
  const names = await sqlite.rows(
    `SELECT name FROM sqlite_master WHERE type = 'table'
     AND name <> 'schema_migrations' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name`,
  );
  const tables: TableShape[] = [];
  for (const row of names) tables.push(await readShape(sqlite, readText(row, "name")));
  return tables;
}

async function readShape(sqlite: SqlSession, name: string): Promise<TableShape> {
  const rows = await sqlite.rows("SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid", [
    name,
  ]);
  const columns = rows.map((row) => ({ ...readColumn(row, name), at: readInteger(row, "pk") }));
  const key = columns.filter(({ at }) => at > 0).sort((a, b) => a.at - b.at);
  if (key.length === 0) throw new StoreError(`Table ${name} has no key and cannot be copied.`);
  return { name, columns, key };
}

function readColumn(row: SqlRow, table: string): ColumnShape {
  const name = readText(row, "name");
  const type = readText(row, "type");
  const kind = kinds.get(type);
  if (kind === undefined) throw new StoreError(`${table}.${name} is of unknown type ${type}.`);
  return { name, kind };
}

const kinds: ReadonlyMap<string, ColumnShape["kind"]> = new Map<string, ColumnShape["kind"]>([
  ["TEXT", "text"],
  ["INTEGER", "integer"],
  ["BIGINT", "integer"],
  ["BYTEA", "bytes"],
]);

/** Writes all rows of a table into another store; returns what was read. */
export async function copyTable(
  source: SqlSession,
  target: SqlSession,
  table: TableShape,
): Promise<TableDigest> {
  const names = table.columns.map(({ name }) => name).join(", ");
  const places = table.columns.map((_, index) => `$${index + 1}`).join(", ");
  const insert = `INSERT INTO ${table.name} (${names}) VALUES (${places})`;
  return await digestPages(source, table, async (page) => {
    await target.runEach(insert, page);
  });
}

/** What a table holds. */
export function digestTable(session: SqlSession, table: TableShape): Promise<TableDigest> {
  return digestPages(session, table, async () => {});
}

type Page = readonly (readonly SqlValue[])[];

async function digestPages(
  session: SqlSession,
  table: TableShape,
  take: (page: Page) => Promise<void>,
): Promise<TableDigest> {
  const hash = createHash("sha256");
  let rows = 0;
  for (let after: readonly SqlValue[] = []; ; ) {
    const page = await readPage(session, table, after);
    const last = page.at(-1);
    if (last === undefined) return { name: table.name, rows, sha256: hash.digest("hex") };
    for (const values of page) for (const value of values) addValue(hash, value);
    rows += page.length;
    await take(page);
    after = table.key.map((column) => {
      const value = last[table.columns.indexOf(column)] ?? null;
      return column.kind === "integer" ? Number(value) : value;
    });
  }
}

/** The next rows behind a key. Integers are read as text: some pass 2^53. */
async function readPage(
  session: SqlSession,
  { name, columns, key }: TableShape,
  after: readonly SqlValue[],
): Promise<Page> {
  const selected = columns.map((column, index) =>
    column.kind === "integer"
      ? `CAST(${column.name} AS TEXT) AS c${index}`
      : `${column.name} AS c${index}`,
  );
  const order = key.map((column) => column.name).join(", ");
  const places = key.map((_, index) => `$${index + 1}`).join(", ");
  const behind = after.length === 0 ? "" : `WHERE (${order}) > (${places})`;
  const rows = await session.rows(
    `SELECT ${selected.join(", ")} FROM ${name} ${behind} ORDER BY ${order} LIMIT ${PAGE_ROWS}`,
    after,
  );
  return rows.map((row) => columns.map((_, index) => readValue(row[`c${index}`])));
}

const PAGE_ROWS = 500;

function readValue(value: unknown): SqlValue {
  if (value === null || typeof value === "string" || value instanceof Uint8Array) return value;
  throw new TypeError(`a value of type ${typeof value}`);
}

/** Lengths stand before values, so that no two rows look alike by where one value ends. */
function addValue(hash: Hash, value: SqlValue): void {
  if (value === null) {
    hash.update("-");
    return;
  }
  const bytes = value instanceof Uint8Array ? value : Buffer.from(String(mapValue(value)));
  hash.update(`${bytes.length}:`).update(bytes);
}
