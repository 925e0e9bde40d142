import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { loadMigrations } from "../../src/store/migrations.ts";
import { openSqliteStore } from "../../src/store/sqlite-store.ts";

describe("SQLite store in several processes", () => {
  const directory = mkdtempSync(join(tmpdir(), "weir-store-"));
  afterAll(() => rmSync(directory, { recursive: true }));

  it("loses no acknowledged record to kill -9", async () => {
    const path = join(directory, "killed.db");
    for (let round = 0; round < 4; round += 1) {
      const acknowledged = await appendUntilKilled(path, `round${round}`, 40 + round * 60);
      const store = await openSqliteStore({ path });
      const found = await Promise.all(acknowledged.map((id) => store.getRecord(id)));
      const lost = acknowledged.filter((_, index) => found[index] === undefined);
      await store.close();
      expect(acknowledged.length).toBeGreaterThanOrEqual(40);
      expect(lost).toEqual([]);
    }
  });

  it("applies each migration once when processes start together on a new file", async () => {
    const path = join(directory, "migrated.db");
    const applied = await Promise.all(Array.from({ length: 3 }, () => migrateInChild(path)));
    const versions = applied.flat().sort((a, b) => a - b);
    const known = loadMigrations(new URL("../../src/store/migrations/", import.meta.url), "sqlite");
    expect(versions).toEqual(known.map(({ version }) => version));
  });

  it("takes the writes of two stores on one file", async () => {
    const path = join(directory, "migrated.db");
    const acknowledged = Promise.all([
      appendUntilKilled(path, "left", 100),
      appendUntilKilled(path, "right", 100),
    ]);
    const ids = (await acknowledged).flat();
    const store = await openSqliteStore({ path });
    const found = await Promise.all(ids.map((id) => store.getRecord(id)));
    await store.close();
    expect(found).not.toContain(undefined);
  });
});

/**
 * Lets a child append, kills it once it has acknowledged so many, and returns all that it
 * acknowledged.
 */
async function appendUntilKilled(path: string, prefix: string, count: number): Promise<string[]> {
  const script = join(import.meta.dirname, "sqlite-append-child.ts");
  const child = spawn(process.execPath, [script, path, prefix], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = once(child, "close");
  const ids: string[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    ids.push(line);
    if (ids.length === count) child.kill("SIGKILL");
  });
  await closed;
  return ids;
}

async function migrateInChild(path: string): Promise<number[]> {
  const script = join(import.meta.dirname, "sqlite-migrate-child.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [script, path]);
  return JSON.parse(stdout);
}
