/**
 * What the operations of the store need of an engine, within one transaction. SQL is written once
 * for all engines: `$1` parameters, no vendor's functions. An engine that answers at once may do so
 * without a promise.
 */
export interface SqlSession {
  /** Rows of a query. */
  rows(sql: string, values?: readonly SqlValue[]): readonly SqlRow[] | Promise<readonly SqlRow[]>;
  /** How many rows a statement changed. */
  run(sql: string, values?: readonly SqlValue[]): number | Promise<number>;
  /** Runs one statement with each set of values; how many rows each changed. */
  runEach(
    sql: string,
    sets: readonly (readonly SqlValue[])[],
  ): readonly number[] | Promise<readonly number[]>;
  /** Runs several statements without values. */
  script(sql: string): void | Promise<void>;
  hasTable(name: string): boolean | Promise<boolean>;
  /**
   * What the engine's own clock shows, in milliseconds since 1970, as an expression. Absent where
   * all that use it share a machine, and with it a clock.
   */
  readonly clockSql?: string;
}

export type SqlValue = string | number | bigint | null | Uint8Array;

/** A row by column. Integers come as numbers; what may pass 2^53 is selected as text. */
export type SqlRow = Readonly<Record<string, unknown>>;

/** Collects the values of a statement while its text is put together. */
export class Bindings {
  readonly values: SqlValue[] = [];

  /** The placeholder for a value. */
  bind(value: SqlValue): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }

  /** The placeholders for a list, as `IN` takes it. */
  bindList(values: readonly SqlValue[]): string {
    return `(${values.map((value) => this.bind(value)).join(", ")})`;
  }
}

/** A column that is text and never null. */
export function readText(row: SqlRow, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw new TypeError(`column ${column} is not text`);
  return value;
}

/** A column that is text or null. */
export function readOptionalText(row: SqlRow, column: string): string | undefined {
  return row[column] === null ? undefined : readText(row, column);
}

/** A column that is an integer within ±2^53 and never null. */
export function readInteger(row: SqlRow, column: string): number {
  const value = row[column];
  if (typeof value !== "number") throw new TypeError(`column ${column} is not an integer`);
  return value;
}

/** A column that is bytes and never null. */
export function readBytes(row: SqlRow, column: string): Uint8Array {
  const value = row[column];
  if (!(value instanceof Uint8Array)) throw new TypeError(`column ${column} is not bytes`);
  return value;
}
