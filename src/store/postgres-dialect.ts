/**
 * A migration as Postgres takes it. It is written once for all engines; only what a column of text
 * compares by must be said to Postgres: byte by byte, as SQLite does anyway. Comments go, so that
 * none of their words is taken for a type.
 */
export function translateSchema(sql: string): string {
  return sql
    .replaceAll(/--[^\n]*/g, "")
    .replaceAll(/(?<!\bAS\s)\bTEXT\b(?!\s+COLLATE)/g, 'TEXT COLLATE "C"');
}
