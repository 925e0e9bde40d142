import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPostgresStore } from "../../src/store/postgres-store.ts";
import type { Store } from "../../src/store/store.ts";
import {
  noDatabases,
  openDatabases,
  type PostgresDatabases,
  withClient,
} from "../support/postgres-server.ts";
import { runQuotaContract } from "./quota-contract.ts";
import { runStoreContract, type StoreFixture } from "./store-contract.ts";

describe.skipIf(noDatabases)(`Postgres${noDatabases ? ` (${noDatabases})` : ""}`, () => {
  let databases: PostgresDatabases;
  beforeAll(async () => {
    databases = await openDatabases();
  });
  afterAll(() => databases.end());

  const createFixture = async (): Promise<StoreFixture> => {
    const url = await databases.create();
    const opened: Store[] = [];
    return {
      async open() {
        const store = await openPostgresStore({ url });
        opened.push(store);
        return store;
      },
      async dispose() {
        await Promise.all(opened.map((store) => store.close()));
        await databases.drop(url);
      },
    };
  };
  runStoreContract("Postgres", createFixture);
  runQuotaContract("Postgres", createFixture);

  it("compares every text byte by byte, whatever the database's own order is", async () => {
    const url = await databases.create();
    const store = await openPostgresStore({ url });
    await store.migrate();
    await store.close();
    const columns = await withClient(url, (client) =>
      client.query(
        `SELECT table_name, column_name, collation_name FROM information_schema.columns
         WHERE table_schema = 'public' AND data_type = 'text' AND table_name <> 'schema_migrations'`,
      ),
    );
    expect(columns.rows.length).toBeGreaterThan(20);
    expect(columns.rows.filter((row) => row.collation_name !== "C")).toEqual([]);
    await databases.drop(url);
  });
});
