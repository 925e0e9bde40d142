import { createHash } from "node:crypto";
import type { ClientBase, CustomTypesConfig } from "pg";
import pg from "pg";
import { translateSchema } from "./postgres-dialect.ts";
import type { SqlRow, SqlSession, SqlValue } from "./sql-session.ts";

/**
 * A transaction on one connection to Postgres. The connection is in pipeline mode: statements that
 * need not wait for each other travel together. Rejects with the errors of `pg`.
 */
export class PostgresSession implements SqlSession {
  readonly clockSql = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
  readonly #client: ClientBase;

  constructor(client: ClientBase) {
    this.#client = client;
  }

  async rows(sql: string, values: readonly SqlValue[] = []): Promise<readonly SqlRow[]> {
    const { rows } = await this.#client.query<SqlRow>(sql, values.map(mapValue));
    return rows;
  }

  async run(sql: string, values: readonly SqlValue[] = []): Promise<number> {
    const { rowCount } = await this.#client.query(sql, values.map(mapValue));
    return rowCount ?? 0;
  }

  /** Prepared once a connection, and all of it on the way at once: one round trip for a batch. */
  async runEach(sql: string, sets: readonly (readonly SqlValue[])[]): Promise<readonly number[]> {
    if (sets.length === 0) return [];
    const name = `weir_${createHash("sha256").update(sql).digest("hex").slice(0, 24)}`;
    const results = await Promise.all(
      sets.map((values) => this.#client.query({ name, text: sql, values: values.map(mapValue) })),
    );
    return results.map(({ rowCount }) => rowCount ?? 0);
  }

  async script(sql: string): Promise<void> {
    await this.#client.query(translateSchema(sql));
  }

  async hasTable(name: string): Promise<boolean> {
    const [row] = await this.rows("SELECT to_regclass($1) IS NOT NULL AS found", [name]);
    return row?.found === true;
  }
}

/**
 * Integers of 64 bits come as numbers where these are exact, else as bigint: no reader takes a
 * rounded one for the true one.
 */
export const exactTypes: CustomTypesConfig = {
  getTypeParser: (oid, format) =>
    oid === pg.types.builtins.INT8 ? parseInt64 : pg.types.getTypeParser(oid, format),
};

export function parseInt64(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

/** Text of Postgres holds no NUL; callers send one if they like, and their record must be kept. */
export function mapValue(value: SqlValue): SqlValue {
  return typeof value === "string" && value.includes("\0")
    ? value.replaceAll("\0", "\u{FFFD}")
    : value;
}
