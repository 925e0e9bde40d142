import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { TimeBucket, UsageDimension } from "../../gen/weir/admin/v1/usage_service_pb.ts";
import { systemClock } from "../../src/mesh/clock.ts";
import type { TableDigest } from "../../src/store/copy-rows.ts";
import { copyToPostgres } from "../../src/store/copy-store.ts";
import { openPostgresStore } from "../../src/store/postgres-store.ts";
import { SqliteEngine } from "../../src/store/sqlite-engine.ts";
import { openSqliteStore } from "../../src/store/sqlite-store.ts";
import type { Store } from "../../src/store/store.ts";
import {
  noDatabases,
  openDatabases,
  type PostgresDatabases,
  withClient,
} from "../support/postgres-server.ts";
import { createKey, createRecordAt, createWrite, everything, putTeam } from "./store-material.ts";

describe.skipIf(noDatabases)(`copyToPostgres()${noDatabases ? ` (${noDatabases})` : ""}`, () => {
  let databases: PostgresDatabases;
  let directory = "";
  let from = "";
  let to = "";

  beforeAll(async () => {
    databases = await openDatabases();
    directory = mkdtempSync(join(tmpdir(), "weir-copy-"));
    from = join(directory, "weir.db");
    const store = await openSqliteStore({ path: from });
    await fill(store);
    await store.close();
  });
  afterAll(async () => {
    await databases?.end();
    rmSync(directory, { recursive: true, force: true });
  });
  beforeEach(async () => {
    to = await databases.create();
  });
  afterEach(() => databases.drop(to));

  const copy = async (onTable: (table: TableDigest) => void = () => {}) => {
    const tables: TableDigest[] = [];
    const order = { from, to, clock: systemClock };
    await copyToPostgres({
      ...order,
      onTable: (table) => {
        tables.push(table);
        onTable(table);
      },
    });
    return tables;
  };

  it("takes over everything: policy, history, secrets, ledger, labels and identity", async () => {
    const tables = await copy();
    expect(Object.fromEntries(tables.map(({ name, rows }) => [name, rows]))).toMatchObject({
      changes: 5,
      commits: 1,
      counters: 1,
      installation: 1,
      key_secrets: 1,
      key_usage: 3,
      request_labels: 1_203,
      requests: 1_203,
      resources: 3,
      usage_days: 3,
      usage_hours: 41,
    });
    const sqlite = await openSqliteStore({ path: from });
    const postgres = await openPostgresStore({ url: to });
    expect(await postgres.migrate()).toEqual([]);
    expect(await readEverything(postgres)).toEqual(await readEverything(sqlite));
    // It goes on where the other stopped.
    const next = await postgres.commit(createWrite([putTeam("teams/new")]));
    expect(next).toMatchObject({ outcome: "committed", revision: 4 });
    await sqlite.close();
    await postgres.close();
  });

  it("refuses a database that holds a Weir already, and leaves it as it was", async () => {
    const other = await openPostgresStore({ url: to });
    await other.migrate();
    await other.commit(createWrite([putTeam("teams/theirs")]));
    await expect(copy()).rejects.toThrow(/holds a Weir already: name an empty one/);
    expect((await other.readAll()).resources.map(({ name }) => name)).toEqual(["teams/theirs"]);
    await other.close();
  });

  it("refuses one with nothing but an identity, which proxies may know", async () => {
    const other = await openPostgresStore({ url: to });
    await other.migrate();
    await other.installationId();
    await other.close();
    await expect(copy()).rejects.toThrow(/holds a Weir already/);
  });

  it("keeps nothing when the source is written to meanwhile", async () => {
    const writer = new SqliteEngine(from, { readOnly: false, busyTimeoutMs: 20 });
    const write = () => {
      writer.script("UPDATE counters SET revision = revision + 1");
    };
    let once = write;
    const copying = copy(() => {
      once();
      once = () => {};
    });
    await expect(copying).rejects.toThrow(/was written to while it was copied: stop the Weir/);
    writer.script("UPDATE counters SET revision = revision - 1");
    writer.close();
    expect((await copy()).length).toBeGreaterThan(5);
  });

  it("keeps nothing when a value does not arrive as it was", async () => {
    const target = await openPostgresStore({ url: to });
    await target.migrate();
    await target.close();
    await withClient(to, (client) =>
      client.query(
        `CREATE FUNCTION round_off() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN NEW.cost_nano_usd := NEW.cost_nano_usd / 1000 * 1000; RETURN NEW; END $$;
         CREATE TRIGGER round_off BEFORE INSERT ON requests
         FOR EACH ROW EXECUTE FUNCTION round_off()`,
      ),
    );
    await expect(copy()).rejects.toThrow(/requests did not arrive as it was/);
    const empty = await openPostgresStore({ url: to });
    expect(await empty.status()).toMatchObject({ revision: 0, resources: 0, records: 0 });
    await empty.close();
  });

  it("wants the source's schema up to date, and changes nothing there", async () => {
    const old = join(directory, "old.db");
    const engine = new SqliteEngine(old, { readOnly: false, busyTimeoutMs: 20 });
    engine.close();
    const order = { from: old, to, clock: systemClock, onTable: () => {} };
    await expect(copyToPostgres(order)).rejects.toThrow(/bring it up to date first/);
  });

  it("says what is wrong with a source that is no store", async () => {
    const order = { to, clock: systemClock, onTable: () => {} };
    const path = join(directory, "nowhere", "x.db");
    await expect(copyToPostgres({ ...order, from: path })).rejects.toThrow(/cannot be opened/);
    expect(existsSync(path)).toBe(false);
  });
});

/** Three revisions, and more records than fit into two pages. */
async function fill(store: Store): Promise<void> {
  await store.migrate();
  await store.installationId();
  const key = createKey("teams/a/keys/k", "00ff");
  await store.commit(
    createWrite(
      [
        putTeam("teams/a", "Ä \\ 'quoted' $1"),
        putTeam("teams/B"),
        { name: "teams/a/keys/k", kind: "key", body: key, expected: "absent" },
      ],
      { requestId: "first", reason: "a\u0000b" },
    ),
  );
  const etag = (await store.get("teams/B"))?.etag ?? "";
  await store.commit(createWrite([putTeam("teams/B", "changed", etag)]));
  const again = (await store.get("teams/B"))?.etag ?? "";
  await store.commit(createWrite([putTeam("teams/B", "and again", again)]));
  const costs = [2n ** 62n + 1n, 9_007_199_254_740_993n, 1_234n];
  await store.appendRecords(
    costs.map((costNanoUsd, n) =>
      createRecordAt(`big${n}`, n, { costNanoUsd, key: "k", labels: { app: `a\u0000${n}` } }),
    ),
  );
  await store.appendRecords(
    Array.from({ length: 1_200 }, (_, n) =>
      createRecordAt(`r${n}`, n * 60_000, {
        key: `k${n % 2}`,
        costNanoUsd: BigInt(n),
        labels: { app: n % 3 === 0 ? "x" : "y" },
      }),
    ),
  );
}

async function readEverything(store: Store) {
  const query = {
    filter: everything,
    label: "",
    timeBucket: TimeBucket.DAY,
    offset: 0,
    limit: 100,
  };
  const changes = await store.listChanges({ beforeSequence: 0, name: "", limit: 100 });
  return {
    id: await store.installationId(),
    all: await store.readAll(),
    // Postgres holds no NUL in text.
    changes: changes.map((each) => ({ ...each, reason: each.reason.replace("\0", "\u{FFFD}") })),
    bySecret: await store.findKeyBySecret("00ff"),
    records: await store.recentRecords(everything, 2_000),
    labelled: await store.recentRecords({ ...everything, labels: { app: "a\u00001" } }, 2_000),
    used: [...(await store.lastUsed(["k", "k0", "k1", "k2"]))].sort(),
    usage: await store.queryUsage({ ...query, groupBy: [UsageDimension.KEY] }),
  };
}
