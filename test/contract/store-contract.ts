import { describe } from "vitest";
import type { Store } from "../../src/store/store.ts";
import { describeAlerts } from "./store-alerts.ts";
import { describeChanges } from "./store-changes.ts";
import { describeCommits } from "./store-commits.ts";
import { describeLedger } from "./store-ledger.ts";
import { describeMigrations } from "./store-migrations.ts";
import { describeUsage } from "./store-usage.ts";

/** An empty store of one engine. */
export interface StoreFixture {
  /** Opens the same data once more; not migrated. The fixture closes what it opened. */
  open(): Promise<Store>;
  /** Closes all that is open and throws the data away. */
  dispose(): Promise<void>;
}

/** What every engine must do. `createFixture` makes a store that does not exist yet. */
export function runStoreContract(name: string, createFixture: () => Promise<StoreFixture>): void {
  describe(`store on ${name}`, () => {
    describeMigrations(createFixture);
    describeCommits(createFixture);
    describeChanges(createFixture);
    describeLedger(createFixture);
    describeUsage(createFixture);
    describeAlerts(createFixture);
  });
}
