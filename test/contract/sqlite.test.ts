import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore } from "../../src/store/sqlite-store.ts";
import type { Store } from "../../src/store/store.ts";
import { runQuotaContract } from "./quota-contract.ts";
import { runStoreContract, type StoreFixture } from "./store-contract.ts";

runStoreContract("SQLite", createFixture);
runQuotaContract("SQLite", createFixture);

async function createFixture(): Promise<StoreFixture> {
  const directory = mkdtempSync(join(tmpdir(), "weir-store-"));
  const opened: Store[] = [];
  return {
    async open() {
      const store = await openSqliteStore({ path: join(directory, "weir.db") });
      opened.push(store);
      return store;
    },
    async dispose() {
      await Promise.all(opened.map((store) => store.close()));
      rmSync(directory, { recursive: true });
    },
  };
}
