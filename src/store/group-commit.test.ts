import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { commitGroup } from "./group-commit.ts";
import { readResultCode, SqliteEngine } from "./sqlite-engine.ts";

describe("commitGroup()", () => {
  let directory = "";
  let engine: SqliteEngine;
  const path = () => join(directory, "weir.db");
  const open = () => new SqliteEngine(path(), { readOnly: false, busyTimeoutMs: 20 });
  const insert =
    (id: number, text = "") =>
    async () =>
      engine.run("INSERT INTO t (id, text) VALUES ($1, $2)", [id, text]);
  const ids = () => engine.rows("SELECT id FROM t ORDER BY id").map((row) => row.id);

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "weir-group-"));
    engine = open();
    engine.script("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)");
  });
  afterEach(() => {
    engine.close();
    rmSync(directory, { recursive: true });
  });

  it("writes a group in one transaction", async () => {
    const { outcomes, transactions } = await commitGroup(engine, [insert(1), insert(2), insert(3)]);
    expect(transactions).toBe(1);
    expect(outcomes.map((outcome) => outcome.ok)).toEqual([true, true, true]);
    expect(ids()).toEqual([1, 2, 3]);
  });

  it("undoes only the write that fails, all of it", async () => {
    const half = async () => {
      await insert(10)();
      throw new Error("half way");
    };
    const { outcomes, transactions } = await commitGroup(engine, [insert(1), half, insert(2)]);
    expect(transactions).toBe(1);
    expect(outcomes.map((outcome) => outcome.ok)).toEqual([true, false, true]);
    expect(ids()).toEqual([1, 2]);
  });

  it("fails only the write that a full disk does not take, and goes on", async () => {
    const [row] = engine.rows("PRAGMA page_count");
    const pages = Number(row?.page_count);
    engine.script(`PRAGMA max_page_count = ${pages + 2}`);
    const huge = insert(2, "x".repeat(100_000));
    const { outcomes } = await commitGroup(engine, [insert(1), huge, insert(3)]);
    expect(outcomes.map((outcome) => outcome.ok)).toEqual([true, false, true]);
    const failed = outcomes[1];
    expect(failed?.ok === false && readResultCode(failed.error)).toBe(13);
    expect(ids()).toEqual([1, 3]);
    engine.script("PRAGMA max_page_count = 100000");
    expect((await commitGroup(engine, [huge])).outcomes[0]?.ok).toBe(true);
  });

  it("tries each write alone when one ends the transaction for all", async () => {
    let first = true;
    const abort = async () => {
      if (first) engine.script("ROLLBACK");
      first = false;
      throw new Error("gone");
    };
    const { outcomes, transactions } = await commitGroup(engine, [insert(1), abort, insert(2)]);
    expect(outcomes.map((outcome) => outcome.ok)).toEqual([true, false, true]);
    expect(transactions).toBe(3);
    expect(ids()).toEqual([1, 2]);
  });

  it("fails the whole group while another process writes, and goes on afterwards", async () => {
    const other = open();
    other.script("BEGIN IMMEDIATE");
    const { outcomes, transactions } = await commitGroup(engine, [insert(1), insert(2)]);
    other.script("ROLLBACK");
    other.close();
    expect(transactions).toBe(0);
    for (const outcome of outcomes) {
      expect(outcome.ok === false && readResultCode(outcome.error)).toBe(5);
    }
    expect((await commitGroup(engine, [insert(1)])).outcomes[0]?.ok).toBe(true);
  });
});
