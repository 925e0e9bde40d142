import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { TimeBucket, UsageDimension } from "../../gen/weir/admin/v1/usage_service_pb.ts";
import { createTimestamp } from "../mesh/record.ts";
import { SqliteEngine } from "./sqlite-engine.ts";
import type { SqliteStore } from "./sqlite-store.ts";
import { openSqliteStore } from "./sqlite-store.ts";
import type { LedgerFilter } from "./store.ts";
import { StoreError } from "./store.ts";

describe("openSqliteStore()", () => {
  let directory = "";
  const opened: SqliteStore[] = [];
  const file = (name = "weir.db") => join(directory, name);
  const open = async (path = file()) => {
    const store = await openSqliteStore({ path, busyTimeoutMs: 20 });
    opened.push(store);
    return store;
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "weir-sqlite-"));
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()));
    rmSync(directory, { recursive: true });
  });

  it("makes the file and its directories for this user alone", async () => {
    const store = await open(file("new/deep/weir.db"));
    await store.migrate();
    expect(statSync(file("new/deep")).mode & 0o777).toBe(0o700);
    for (const name of ["weir.db", "weir.db-wal", "weir.db-shm"]) {
      expect(statSync(file(`new/deep/${name}`)).mode & 0o777, name).toBe(0o600);
    }
  });

  it("says what to do about a file that is no database", async () => {
    writeFileSync(file(), "this is a text, and a long one ".repeat(100));
    await expect(open()).rejects.toThrow(/damaged or is no Weir database.*restore a backup/);
  });

  it("says what to do about a file that has become damaged", async () => {
    const whole = await open();
    await whole.migrate();
    await whole.appendRecords(Array.from({ length: 5_000 }, (_, n) => createRecord(`d${n}`, n)));
    await whole.close();
    const bytes = readFileSync(file());
    writeFileSync(file(), bytes.fill(0xa5, bytes.length / 2));
    const damaged = await open();
    await expect(damaged.recentRecords(everything, 1_000)).rejects.toThrow(/is damaged.*backup/);
  });

  it.skipIf(process.getuid?.() === 0)(
    "says what to do about a directory that is not to be written (needs a user but root)",
    async () => {
      mkdirSync(file("locked"), { mode: 0o500 });
      await expect(open(file("locked/weir.db"))).rejects.toThrow(/give it permission/);
    },
  );

  it("says what to do about a path that cannot be a file", async () => {
    mkdirSync(file("directory"));
    writeFileSync(file("plain"), "");
    for (const path of [file("directory"), file("plain/weir.db")]) {
      await expect(open(path)).rejects.toThrow(StoreError);
      await expect(open(path)).rejects.toThrow(/name a path/);
    }
  });

  it("says to migrate first when there is no schema", async () => {
    await expect((await open()).revision()).rejects.toThrow(/no schema yet: migrate it first/);
  });

  it("says who is in the way while another process writes, and works once it is gone", async () => {
    const store = await open();
    await store.migrate();
    const other = new SqliteEngine(file(), { readOnly: false, busyTimeoutMs: 20 });
    other.script("BEGIN IMMEDIATE");
    await expect(store.appendRecords([createRecord("a", 1)])).rejects.toThrow(
      /locked by another process/,
    );
    expect(await store.getRecord("a")).toBeUndefined();
    other.script("ROLLBACK");
    other.close();
    await store.appendRecords([createRecord("a", 1)]);
    expect(await store.getRecord("a")).toBeDefined();
  });

  it("writes what comes in at once in fewer transactions than writes", async () => {
    const store = await open();
    await store.migrate();
    const before = store.transactions;
    const ids = Array.from({ length: 200 }, (_, n) => `g${n}`);
    await Promise.all(ids.map((id, n) => store.appendRecords([createRecord(id, n)])));
    expect(store.transactions - before).toBeGreaterThan(0);
    expect(store.transactions - before).toBeLessThan(100);
    expect(await store.recentRecords(everything, 1_000)).toHaveLength(200);
  });

  // A disk that is slow enough takes longer for the write than the scans do: it has several tries.
  it("lets neither writes nor short reads wait for scans of the ledger", { retry: 3 }, async () => {
    const store = await open();
    await store.migrate();
    const records = Array.from({ length: 20_000 }, (_, n) => createRecord(`s${n}`, n * 60_000));
    await store.appendRecords(records);
    const order: string[] = [];
    const done = (name: string) => () => order.push(name);
    const scan = {
      filter: everything,
      groupBy: [UsageDimension.TIME, UsageDimension.KEY, UsageDimension.LABEL],
      label: "app",
      timeBucket: TimeBucket.MINUTE,
      offset: 0,
      limit: 10,
    };
    const scans = Promise.all(Array.from({ length: 10 }, () => store.queryUsage(scan)));
    await Promise.all([
      scans.then(done("scans")),
      store.appendRecords([createRecord("late", 1)]).then(done("append")),
      store.revision().then(done("revision")),
    ]);
    expect(order.at(-1)).toBe("scans");
    expect(order).toHaveLength(3);
  });
});

const everything: LedgerFilter = {
  teams: [],
  keys: [],
  users: [],
  models: [],
  providers: [],
  labels: {},
  onlyErrors: false,
};

function createRecord(requestId: string, startMs: number) {
  const startTime = createTimestamp(startMs);
  return create(RequestRecordSchema, { requestId, startTime, labels: { app: "x" } });
}
