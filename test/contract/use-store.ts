import { afterAll, beforeAll } from "vitest";
import type { Store } from "../../src/store/store.ts";
import type { StoreFixture } from "./store-contract.ts";

/** One migrated store for the tests of a `describe`; each test keeps to names of its own. */
export function useStore(createFixture: () => Promise<StoreFixture>): () => Store {
  let fixture: StoreFixture | undefined;
  let store: Store | undefined;
  beforeAll(async () => {
    fixture = await createFixture();
    store = await fixture.open();
    await store.migrate();
  });
  afterAll(() => fixture?.dispose());
  return () => {
    if (store === undefined) throw new Error("beforeAll has not run");
    return store;
  };
}
