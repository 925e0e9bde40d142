import { describe, expect, it } from "vitest";
import type { Store } from "../../src/store/store.ts";
import { budget, HOUR, NOON, nameBucket, PretendProxy, totalsOf } from "./quota-material.ts";
import type { StoreFixture } from "./store-contract.ts";

const MIDNIGHT = NOON - 12 * HOUR;

export function describeQuotaTogether(createFixture: () => Promise<StoreFixture>): void {
  describe("several instances on one store", () => {
    it("never grant more than there is, and lock each other out never", async () => {
      const fixture = await createFixture();
      try {
        const stores = await Promise.all([fixture.open(), fixture.open()]);
        await stores[0]?.migrate();
        const buckets = [nameBucket(), nameBucket(), nameBucket()];
        const terms = Object.fromEntries(buckets.map((bucket) => [bucket, budget(500)]));
        const granted = await Promise.all(
          Array.from({ length: 8 }, (_, index) => drain(stores[index % 2], index)),
        );
        const store = stores[0];
        if (store === undefined) throw new Error("no store");
        for (const [at, bucket] of buckets.entries()) {
          const sum = granted.reduce((all, each) => all + (each[at] ?? 0), 0);
          expect(sum).toBeLessThanOrEqual(500);
          expect(sum).toBeGreaterThan(490);
          expect((await totalsOf(store, bucket)).leased).toBe(sum);
        }

        /** Asks for 7 of each bucket, in an order of its own, until there is nothing more. */
        async function drain(through: Store | undefined, index: number): Promise<number[]> {
          if (through === undefined) throw new Error("no store");
          const proxy = new PretendProxy(() => through, `together-${index}`);
          const held = new Map(buckets.map((bucket) => [bucket, 0]));
          const turned = [...buckets.slice(index % 3), ...buckets.slice(0, index % 3)];
          for (let round = 0; round < 20; round += 1) {
            const leases = turned.map((bucket) => ({
              bucket,
              windowStartMs: MIDNIGHT,
              granted: held.get(bucket) ?? 0,
              confirmed: 0,
              returned: 0,
              outstanding: held.get(bucket) ?? 0,
              want: 0,
              need: 7,
              levelReturned: 0,
            }));
            const outcome = await proxy.say(terms, leases);
            if (outcome.outcome !== "answered") throw new Error(outcome.reason);
            expect(outcome.violations).toEqual([]);
            for (const grant of outcome.grants) held.set(grant.bucket, grant.granted);
          }
          return buckets.map((bucket) => held.get(bucket) ?? 0);
        }
      } finally {
        await fixture.dispose();
      }
    });

    it("answer one proxy's report once, though it comes to both", async () => {
      const fixture = await createFixture();
      try {
        const stores = await Promise.all([fixture.open(), fixture.open()]);
        await stores[0]?.migrate();
        const bucket = nameBucket();
        const asked = {
          proxyId: "twice",
          epoch: 1,
          sequence: 1,
          previousEpoch: 0,
          atMs: NOON,
          confessions: [],
          terms: new Map([[bucket, budget(100)]]),
          leases: [
            {
              bucket,
              windowStartMs: -1,
              granted: 0,
              confirmed: 0,
              returned: 0,
              outstanding: 0,
              want: 0,
              need: 40,
              levelReturned: 0,
            },
          ],
        };
        const outcomes = await Promise.all(stores.map((store) => store.reportQuota(asked)));
        expect(outcomes[1]).toEqual(outcomes[0]);
        expect(outcomes[0]).toMatchObject({ grants: [{ granted: 40 }] });
      } finally {
        await fixture.dispose();
      }
    });
  });
}
