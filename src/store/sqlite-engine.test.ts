import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { SqliteEngine } from "./sqlite-engine.ts";

describe("SqliteEngine", () => {
  const directory = mkdtempSync(join(tmpdir(), "weir-engine-"));
  const path = join(directory, "weir.db");
  const writer = new SqliteEngine(path, { readOnly: false, busyTimeoutMs: 20 });
  const reader = new SqliteEngine(path, { readOnly: true, busyTimeoutMs: 20 });
  writer.script("CREATE TABLE t (a TEXT, b BIGINT, c BYTEA)");
  afterAll(() => {
    reader.close();
    writer.close();
    rmSync(directory, { recursive: true });
  });

  it("flushes each commit to the disk, in a write-ahead log", () => {
    expect(writer.rows("PRAGMA journal_mode")).toEqual([{ journal_mode: "wal" }]);
    expect(writer.rows("PRAGMA synchronous")).toEqual([{ synchronous: 2 }]);
  });

  it("binds numbered parameters in any order, more than once", () => {
    const [row] = writer.rows("SELECT $2 AS x, $1 AS y, $2 AS z", ["one", "two"]);
    expect(row).toEqual({ x: "two", y: "one", z: "two" });
  });

  it("keeps text, integers beyond 2^53, nothing and bytes", () => {
    const bytes = new Uint8Array([0, 255]);
    writer.runEach("INSERT INTO t (a, b, c) VALUES ($1, $2, $3)", [
      ["$1 '\"", 2n ** 60n, bytes],
      ["", 7, null],
    ]);
    const rows = reader.rows("SELECT a, CAST(b AS TEXT) AS b, c FROM t ORDER BY rowid");
    expect(rows).toEqual([
      { a: "$1 '\"", b: "1152921504606846976", c: bytes },
      { a: "", b: "7", c: null },
    ]);
  });

  it("refuses to write through a reader's connection", () => {
    expect(() => reader.run("DELETE FROM t")).toThrow(/readonly/);
  });

  it("prepares more statements than it remembers", () => {
    for (let n = 0; n < 500; n += 1) {
      expect(reader.rows(`SELECT ${n} AS n, $1 AS v`, [n])).toEqual([{ n, v: n }]);
    }
  });
});
