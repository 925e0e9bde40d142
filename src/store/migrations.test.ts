import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadMigrations } from "./migrations.ts";
import type { SqliteStore } from "./sqlite-store.ts";
import { openSqliteStore } from "./sqlite-store.ts";
import { StoreError } from "./store.ts";

describe("migrations", () => {
  let directory = "";
  let opened: SqliteStore[] = [];
  const folder = () => pathToFileURL(`${directory}/`);
  const write = (file: string, sql: string) => writeFileSync(join(directory, file), sql);
  const open = async () => {
    const store = await openSqliteStore({ path: join(directory, "x.db"), migrations: folder() });
    opened.push(store);
    return store;
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "weir-migrations-"));
    opened = [];
    write("0001-one.sql", "CREATE TABLE one (a TEXT); CREATE TABLE two (b TEXT);");
  });
  afterEach(async () => {
    await Promise.all(opened.map((store) => store.close()));
    rmSync(directory, { recursive: true });
  });

  it("apply in order, and go on where an older version stopped", async () => {
    expect(await (await open()).migrate()).toEqual([1]);
    write("0002-two.sql", "ALTER TABLE one ADD COLUMN c TEXT;");
    write("0003-three.sql", "UPDATE one SET c = 'x';");
    expect(await (await open()).migrate()).toEqual([2, 3]);
  });

  it("that fail are undone and not marked: the corrected one applies", async () => {
    await (await open()).migrate();
    write("0002-two.sql", "CREATE TABLE three (a TEXT); INSERT INTO nowhere VALUES (1);");
    await expect((await open()).migrate()).rejects.toThrow(StoreError);
    write("0002-two.sql", "CREATE TABLE three (a TEXT);");
    expect(await (await open()).migrate()).toEqual([2]);
  });

  it("that were changed after they were applied are refused", async () => {
    await (await open()).migrate();
    write("0001-one.sql", "CREATE TABLE one (a INTEGER);");
    await expect((await open()).migrate()).rejects.toThrow(/Migration 1 \(one\).*unmodified/);
  });

  it("may have their line ends turned about", async () => {
    write("0001-one.sql", "CREATE TABLE one (\n  a TEXT\n);\n");
    await (await open()).migrate();
    write("0001-one.sql", "CREATE TABLE one (\r\n  a TEXT\r\n);\r\n");
    expect(await (await open()).migrate()).toEqual([]);
  });

  it("of a newer Weir are refused, and left alone", async () => {
    write("0002-two.sql", "CREATE TABLE three (a TEXT);");
    await (await open()).migrate();
    rmSync(join(directory, "0002-two.sql"));
    await expect((await open()).migrate()).rejects.toThrow(/schema 2.*no newer one than 1/);
  });

  it("take an engine's own way of a step, and leave those of others", () => {
    write("0002-two.sql", "SELECT 1;");
    write("0002-two.postgres.sql", "SELECT 2;");
    const texts = (engine: "sqlite" | "postgres") =>
      loadMigrations(folder(), engine).map(({ name, sql }) => [name, sql]);
    expect(texts("sqlite")[1]).toEqual(["two", "SELECT 1;"]);
    expect(texts("postgres")[1]).toEqual(["two", "SELECT 2;"]);
  });

  it("that only one engine has are refused: the numbers must mean the same", () => {
    write("0002-two.postgres.sql", "SELECT 2;");
    expect(() => loadMigrations(folder(), "postgres")).toThrow(/0002-two\.sql/);
  });

  for (const file of ["0003-gap.sql", "0001-twice.sql", "2-short.sql", "0002_under.sql"]) {
    it(`are numbered without gaps, by name: ${file} is refused`, () => {
      write(file, "SELECT 1;");
      expect(() => loadMigrations(folder(), "sqlite")).toThrow(StoreError);
    });
  }
});
