import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createRecordAt, createWrite, putTeam } from "../../test/contract/store-material.ts";
import { OwnProcess } from "../../test/support/own-process.ts";
import {
  noDatabases,
  openDatabases,
  type PostgresDatabases,
} from "../../test/support/postgres-server.ts";
import { lockDirectory } from "../link/directory-lock.ts";
import { loadMigrations } from "../store/migrations.ts";
import { openSqliteStore } from "../store/sqlite-store.ts";
import { runCommand } from "./run-command.fixture.ts";

const directory = mkdtempSync(join(tmpdir(), "weir-db-"));
const dataDir = join(directory, "data");
const migrations = new URL("../store/migrations/", import.meta.url);
const sqliteVersions = loadMigrations(migrations, "sqlite").map(({ version }) => version);
const postgresVersions = loadMigrations(migrations, "postgres").map(({ version }) => version);
const run = (args: string, env = {}) => runCommand(["db", ...args.split(" ")], env);

beforeAll(async () => {
  const store = await openSqliteStore({ path: join(dataDir, "weir.db") });
  await store.migrate();
  await store.installationId();
  await store.commit(createWrite([putTeam("teams/a"), putTeam("teams/b")]));
  await store.appendRecords([createRecordAt("r1", 1), createRecordAt("r2", 2)]);
  await store.close();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("weir db on SQLite", () => {
  it("says what the store of a data directory holds", async () => {
    const { code, out } = await run(`status --data-dir ${dataDir}`);
    expect(code).toBe(0);
    expect(out).toMatch(/Store +.*weir\.db\nEngine +SQLite\nSchema +\d+\nInstallation +ins_/);
    expect(out).toContain(`Schema        ${sqliteVersions.at(-1)}\n`);
    expect(out).toMatch(/Revision +1\nResources +2\nChanges +2\nRecords +2\n/);
  });

  it("says so in JSON too", async () => {
    const { out } = await run("status -o json", { WEIR_DATA_DIR: dataDir });
    expect(JSON.parse(out)).toMatchObject({ applied: sqliteVersions, missing: [], records: 2 });
  });

  it("migrates a store that a newer Weir will use, once", async () => {
    const { out } = await run(`migrate --data-dir ${dataDir}`);
    expect(out).toMatch(/weir\.db was up to date\.$/m);
  });

  it("makes no store where there is none", async () => {
    for (const action of ["status", "migrate"]) {
      const nowhere = join(directory, "nowhere");
      const { code, err } = await run(`${action} --data-dir ${nowhere}`);
      expect([code, err]).toEqual([1, expect.stringMatching(/^weir db: There is no store at /)]);
      expect(existsSync(nowhere)).toBe(false);
    }
  });

  const wrong: readonly [string, RegExp][] = [
    ["dance", /write migrate, status or copy/],
    ["copy", /--database-url is required/],
    ["copy --database-url postgres://u:pa#ss@h/x", /--database-url: This is no address/],
    ["status here", /nothing stands behind/],
  ];
  for (const [args, text] of wrong) {
    it(`refuses "weir db ${args}"`, async () => {
      const { code, err } = await run(args);
      expect([code, err]).toEqual([2, expect.stringMatching(text)]);
      expect(err).not.toContain("ss@");
    });
  }
});

describe.skipIf(noDatabases)(`weir db on Postgres${noDatabases ? ` (${noDatabases})` : ""}`, () => {
  let databases: PostgresDatabases;
  let url = "";
  beforeAll(async () => {
    databases = await openDatabases();
  });
  afterAll(() => databases?.end());
  beforeEach(async () => {
    url = await databases.create();
  });
  afterEach(() => databases.drop(url));

  it("looks at an empty database and leaves it empty, until it is migrated", async () => {
    const env = { WEIR_DATABASE_URL: url };
    const before = await run("status", env);
    expect(before.code).toBe(1);
    expect(before.out).toMatch(/Engine +PostgreSQL \d+/);
    const all = postgresVersions.join(", ");
    expect(before.out).toContain(`none; \`weir db migrate\` brings ${all}\n`);
    expect((await run("status", env)).out).toBe(before.out);
    expect((await run("migrate", env)).out).toContain(`now has schema ${all}.\n`);
    const after = await run("status", env);
    expect(after.code).toBe(0);
    expect(after.out).toContain(`Schema        ${postgresVersions.at(-1)}\n`);
    const shown = [before.out, after.out].join("");
    expect(shown).not.toContain(new URL(url).password || "@");
  });

  it("migrates once when several processes do so at the same time", async () => {
    const processes = Array.from(
      { length: 3 },
      () => new OwnProcess(["db", "migrate"], { WEIR_DATABASE_URL: url }),
    );
    const codes = await Promise.all(processes.map(async (each) => (await each.end(90_000)).code));
    const said = processes.map(({ output }) => output).join("");
    expect(codes, said).toEqual([0, 0, 0]);
    const versions = [...said.matchAll(/now has schema ([\d, ]+)/g)].flatMap(([, list = ""]) =>
      list.split(", "),
    );
    expect(versions.map(Number).sort((a, b) => a - b)).toEqual(postgresVersions);
  });

  it("copies a data directory into it, and only once", async () => {
    const args = `copy --data-dir ${dataDir}`;
    const env = { WEIR_DATABASE_URL: url };
    const first = await run(args, env);
    expect(first.err).toBe("");
    expect(first.code).toBe(0);
    expect(first.out).toMatch(/^requests +2 rows {2}sha256 [0-9a-f]{16}$/m);
    expect(first.out).toMatch(/now holds all of .*weir\.db\. Start Weir with WEIR_DATABASE_URL/);
    expect((await run("status", env)).out).toMatch(/Revision +1\nResources +2\nChanges +2\nRec/);
    const second = await run(args, env);
    expect([second.code, second.err]).toEqual([1, expect.stringMatching(/holds a Weir already/)]);
  });

  it("copies nothing from under a Weir that runs", async () => {
    const lock = await lockDirectory(dataDir);
    const { code, err } = await run(`copy --data-dir ${dataDir}`, { WEIR_DATABASE_URL: url });
    await lock.release();
    expect([code, err]).toEqual([1, expect.stringMatching(/is in use by/)]);
  });

  it("says what to do when the database does not answer, without the password", async () => {
    const address = new URL(url);
    address.port = "1";
    address.password = "top-secret";
    const { code, err } = await run("status", { WEIR_DATABASE_URL: address.href });
    expect([code, err]).toEqual([1, expect.stringMatching(/cannot be reached \(ECONNREFUSED\)/)]);
    expect(err).not.toContain("top-secret");
  });
});
