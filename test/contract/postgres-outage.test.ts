import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { TimeBucket, UsageDimension } from "../../gen/weir/admin/v1/usage_service_pb.ts";
import type { PostgresStoreOptions } from "../../src/store/postgres-store.ts";
import { openPostgresStore, type PostgresStore } from "../../src/store/postgres-store.ts";
import { StoreError } from "../../src/store/store.ts";
import { until } from "../support/own-process.ts";
import {
  noPostgres,
  type PostgresServer,
  startPostgres,
  withClient,
} from "../support/postgres-server.ts";
import { budget, nameBucket, PretendProxy } from "./quota-material.ts";
import { createRecordAt, createWrite, everything, putTeam } from "./store-material.ts";

const WAIT_MS = 90_000;

describe.skipIf(noPostgres)(`Postgres that fails${noPostgres ? ` (${noPostgres})` : ""}`, () => {
  let server: PostgresServer;
  let url = "";
  let count = 0;
  const opened: PostgresStore[] = [];
  const open = async (more: Partial<PostgresStoreOptions> = {}) => {
    const store = await openPostgresStore({ url, ...more });
    opened.push(store);
    return store;
  };
  const ask = (sql: string) => withClient(url, (client) => client.query(sql));

  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server?.end());
  beforeEach(async () => {
    count += 1;
    await withClient(server.url("postgres"), (client) =>
      client.query(`CREATE DATABASE weir_${count} ENCODING 'UTF8' TEMPLATE template0`),
    );
    url = server.url(`weir_${count}`);
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()));
  });

  for (const how of ["kill", "stop"] as const) {
    it(`rejects while the server is away (${how}), and works again by itself`, async () => {
      const store = await open();
      await store.migrate();
      await store.appendRecords([createRecordAt("before", 1)]);
      await server[how]();
      for (const asked of [
        () => store.revision(),
        () => store.appendRecords([createRecordAt("during", 2)]),
        () => store.commit(createWrite([putTeam("teams/during")])),
        () => store.recentRecords(everything, 10),
      ]) {
        await expect(asked()).rejects.toThrow(StoreError);
        await expect(asked()).rejects.toThrow(/cannot be reached.*start the database/);
      }
      await server.start();
      await store.appendRecords([createRecordAt("after", 3)]);
      const found = await store.recentRecords(everything, 10);
      expect(found.map((record) => record.requestId)).toEqual(["after", "before"]);
      expect((await store.commit(createWrite([putTeam("teams/after")]))).outcome).toBe("committed");
    });
  }

  it("books quotas while as many policies as there is room for wait to be written", async () => {
    const store = await open();
    await store.migrate();
    await withClient(url, async (client) => {
      await client.query("BEGIN; LOCK TABLE resources IN ACCESS EXCLUSIVE MODE");
      const commits = Array.from({ length: 8 }, (_, n) =>
        store.commit(createWrite([putTeam(`teams/n${n}`)])),
      );
      const proxy = new PretendProxy(() => store, "one");
      const grant = await proxy.ask(budget(100), { bucket: nameBucket(), need: 30 });
      expect(grant.granted).toBe(30);
      await client.query("COMMIT");
      await Promise.all(commits);
    });
  });

  it("loses nothing that it has confirmed when the server is killed under load", async () => {
    const store = await open();
    await store.migrate();
    const confirmed: string[] = [];
    const failures: unknown[] = [];
    const append = async (lane: number) => {
      for (let n = 0; ; n += 1) {
        const id = `${lane}-${n}`;
        try {
          await store.appendRecords([createRecordAt(id, n, { key: `k${n % 3}` })]);
          confirmed.push(id);
        } catch (error) {
          failures.push(error);
          return;
        }
      }
    };
    const lanes = Promise.all(Array.from({ length: 16 }, (_, lane) => append(lane)));
    await until("some records are kept", WAIT_MS, () => confirmed.length > 200);
    await server.kill();
    await lanes;
    expect(failures).toHaveLength(16);
    for (const failure of failures) expect(failure).toBeInstanceOf(StoreError);
    await server.start();
    const found = await Promise.all(confirmed.map((id) => store.getRecord(id)));
    expect(found).not.toContain(undefined);
  });

  it("tries again on another connection when the server ends one that is idle", async () => {
    const store = await open();
    await store.migrate();
    await store.commit(createWrite([putTeam("teams/a")]));
    for (let round = 0; round < 5; round += 1) {
      // The store hears of it only when it asks next, or in the middle of that.
      const killed = ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity " +
          "WHERE datname = current_database() AND pid <> pg_backend_pid()",
      );
      expect(await store.revision()).toBe(1);
      await killed;
      expect(await store.revision()).toBe(1);
    }
  });

  it("tells of commits of other stores at once, and of those that it missed", async () => {
    const [here, there] = [await open(), await open()];
    await here.migrate();
    let told = 0;
    const stop = here.onCommit(() => {
      told += 1;
    });
    await until("it listens", WAIT_MS, () => told > 0);
    const next = async (what: string, act: () => Promise<unknown>) => {
      const before = told;
      await act();
      await until(what, WAIT_MS, () => told > before);
    };
    await next("a commit", () => there.commit(createWrite([putTeam("teams/a")])));
    await next("one that came while the server was away", async () => {
      await server.kill();
      await server.start();
      await there.commit(createWrite([putTeam("teams/b")]));
    });
    await next("one after that", () => there.commit(createWrite([putTeam("teams/c")])));
    stop();
    const before = told;
    await there.commit(createWrite([putTeam("teams/d")]));
    await delay(50);
    expect(told).toBe(before);
  });

  it("is not held up for ever by a process that stopped in the middle of a write", async () => {
    const store = await open({ limits: { writeMs: 1_000 } });
    await store.migrate();
    await withClient(url, async (client) => {
      await client.query("BEGIN; UPDATE counters SET revision = revision");
      const write = store.commit(createWrite([putTeam("teams/a")]));
      await expect(write).rejects.toThrow(/took too long/);
      expect(await store.revision()).toBe(0);
    });
    expect((await store.commit(createWrite([putTeam("teams/a")]))).outcome).toBe("committed");
  });

  it("closes in time although the server does not answer", async () => {
    const store = await open({ limits: { closeMs: 100 } });
    await store.migrate();
    await withClient(url, async (client) => {
      await client.query("BEGIN; UPDATE counters SET revision = revision");
      // More than there are places, so that some have not even begun.
      const writes = Array.from({ length: 10 }, (_, n) =>
        store.commit(createWrite([putTeam(`teams/t${n}`)])).catch((error: unknown) => error),
      );
      const beganMs = performance.now();
      await store.close();
      // Far from the ten seconds that are usual.
      expect(performance.now() - beganMs).toBeLessThan(8_000);
      for (const outcome of await Promise.all(writes)) expect(outcome).toBeInstanceOf(StoreError);
    });
  });

  it("ends scans that take too long, and keeps the connection", async () => {
    const store = await open({ limits: { scanMs: 1 } });
    await store.migrate();
    // Makes the month that the others go into.
    await store.appendRecords([createRecordAt("first", 1)]);
    await ask(
      `INSERT INTO requests SELECT 'r' || n, n, 't' || n, '', '', '', '', '', 0, 0, 0, 0, 0,
       0, 0, 0, 0, 0, 0, '', ''
       FROM generate_series(1, 20000) n`,
    );
    const query = {
      filter: everything,
      groupBy: [UsageDimension.TEAM, UsageDimension.TIME],
      label: "",
      // Not from the sums of days, which would be quick.
      timeBucket: TimeBucket.MINUTE,
      offset: 0,
      limit: 10,
    };
    await expect(store.queryUsage(query)).rejects.toThrow(/took too long: ask for less/);
    expect(await store.revision()).toBe(0);
  });

  it("lets a write be settled by retrying when it runs into another", async () => {
    const store = await open();
    await store.migrate();
    await store.appendRecords([createRecordAt("a", 1, { key: "ka" })]);
    await store.appendRecords([createRecordAt("b", 1, { key: "kb" })]);
    // Somebody else takes the same rows the other way round: Postgres ends one of the two.
    await withClient(url, async (client) => {
      await client.query("BEGIN; SET LOCAL deadlock_timeout = '10s'");
      await client.query("UPDATE key_usage SET last_used_ms = 2 WHERE key_name = 'kb'");
      const append = store.appendRecords([
        createRecordAt("c", 9, { key: "ka" }),
        createRecordAt("d", 9, { key: "kb" }),
      ]);
      await until("the store waits for kb", WAIT_MS, async () => {
        const { rows } = await ask("SELECT 1 FROM pg_locks WHERE NOT granted");
        return rows.length > 0;
      });
      await client.query("UPDATE key_usage SET last_used_ms = 2 WHERE key_name = 'ka'");
      await client.query("COMMIT");
      await append;
    });
    expect([...(await store.lastUsed(["ka", "kb"]))].sort()).toEqual([
      ["ka", 9],
      ["kb", 9],
    ]);
  });

  it("takes so many connections and no more, however much is asked at once", async () => {
    const store = await open();
    await store.migrate();
    const stop = store.onCommit(() => {});
    const records = Array.from({ length: 300 }, (_, n) => createRecordAt(`r${n}`, n));
    let most = 0;
    let rounds = 0;
    // Until it was seen at work.
    while (most <= 4) {
      let running = true;
      rounds += 1;
      const asked = Promise.all([
        ...records.map((record) => store.appendRecords([record])),
        ...records.map((record) => store.getRecord(record.requestId)),
        ...records.map(() => store.recentRecords(everything, 5)),
      ]).finally(() => {
        running = false;
      });
      while (running) {
        const { rows } = await ask(
          "SELECT COUNT(*)::int AS n FROM pg_stat_activity " +
            "WHERE application_name = 'weir' AND datname = current_database()",
        );
        most = Math.max(most, rows[0]?.n ?? 0);
      }
      await asked;
      expect(rounds).toBeLessThan(100);
    }
    stop();
    expect(most).toBeLessThanOrEqual(11);
  });

  it("says what to do about an address that leads nowhere", async () => {
    const wrong = (change: (address: URL) => void) => {
      const address = new URL(url);
      change(address);
      return openPostgresStore({ url: address.href });
    };
    const cases: readonly [(address: URL) => void, RegExp][] = [
      [(a) => (a.password = "wrong-password"), /refuses its user: check user and password/],
      [(a) => (a.username = "nobody"), /refuses its user/],
      [(a) => (a.pathname = "/nowhere"), /no such database.*CREATE DATABASE/],
      [(a) => (a.port = "1"), /cannot be reached \(ECONNREFUSED\): start the database/],
      [(a) => a.searchParams.set("sslmode", "verify-full"), /speaks no TLS/],
    ];
    for (const [change, text] of cases) {
      const failure = await wrong(change).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(StoreError);
      expect(String(failure)).toMatch(text);
      expect(inspectAll(failure)).not.toContain("wrong-password");
      expect(inspectAll(failure)).not.toMatch(/s%2Fe%23c|s\/e#c/);
    }
  });

  it("refuses a database that does not hold Unicode", async () => {
    const name = `latin_${count}`;
    await ask(`CREATE DATABASE ${name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`);
    await expect(openPostgresStore({ url: server.url(name) })).rejects.toThrow(
      /holds LATIN1 and not Unicode/,
    );
  });

  it("says to migrate first when there is no schema, and what a reader may not do", async () => {
    const store = await open();
    await expect(store.revision()).rejects.toThrow(/no schema yet: migrate it first/);
    await store.migrate();
    await ask(
      "CREATE USER reader PASSWORD 'x'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
    );
    const address = new URL(url);
    address.username = "reader";
    address.password = "x";
    const reader = await open({ url: address.href });
    expect(await reader.revision()).toBe(0);
    await expect(reader.commit(createWrite([putTeam("teams/a")]))).rejects.toThrow(
      /denies its user something/,
    );
    await ask(`ALTER DATABASE weir_${count} SET default_transaction_read_only = on`);
    const other = await open();
    expect((await other.commit(createWrite([putTeam("teams/a")]))).outcome).toBe("committed");
  });

  it("is durable where the server's default is not", async () => {
    await ask(`ALTER DATABASE weir_${count} SET synchronous_commit = off`);
    const store = await open();
    await store.migrate();
    await ask(
      `CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN NEW.user_name := current_setting('synchronous_commit'); RETURN NEW; END $$;
       CREATE TRIGGER note BEFORE INSERT ON requests FOR EACH ROW EXECUTE FUNCTION note()`,
    );
    await store.appendRecords([createRecordAt("a", 1)]);
    const { rows } = await ask("SELECT user_name FROM requests");
    expect(rows).toEqual([{ user_name: "on" }]);
  });
});

/** Everything that a log could show of an error. */
function inspectAll(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return `${error.stack} ${JSON.stringify(error)} ${cause === undefined ? "" : inspectAll(cause)}`;
}
