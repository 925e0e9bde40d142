import { describe, expect, it } from "vitest";
import {
  answered,
  budget,
  HOUR,
  NOON,
  nameBucket,
  onlyGrant,
  PretendProxy,
  rate,
  report,
  slots,
  totalsOf,
} from "./quota-material.ts";
import type { StoreFixture } from "./store-contract.ts";
import { useStore } from "./use-store.ts";

const MIDNIGHT = NOON - 12 * HOUR;

export function describeQuotaCrashes(createFixture: () => Promise<StoreFixture>): void {
  describe("crashes", () => {
    const store = useStore(createFixture);
    let count = 0;
    const newProxy = () => {
      count += 1;
      return new PretendProxy(store, `crash-proxy-${count}`);
    };

    /** A proxy that held 60 of 100, had 10 spent and reported, and was killed. */
    async function crash() {
      const bucket = nameBucket();
      const proxy = newProxy();
      await proxy.ask(budget(100), { bucket, need: 60 });
      const held = { bucket, windowStartMs: MIDNIGHT, granted: 60, confirmed: 10, outstanding: 5 };
      await proxy.ask(budget(100), held);
      proxy.restart();
      return { bucket, proxy, terms: { [bucket]: budget(100) } };
    }

    it("keeps what a dead epoch held, until it is confessed", async () => {
      const { bucket, proxy } = await crash();
      expect(await proxy.ask(budget(100), { bucket, need: 41 })).toMatchObject({
        granted: 0,
        refusal: "exhausted",
        remaining: 40,
      });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 50, forfeited: 0 });
    });

    it("forfeits what was spent at most, and takes the rest back", async () => {
      const { bucket, proxy, terms } = await crash();
      const leases = [{ bucket, windowStartMs: MIDNIGHT, usedMax: 25 }];
      answered(await proxy.confess(terms, { leases }));
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 0, forfeited: 15 });
    });

    it("does nothing when the same is confessed twice", async () => {
      const { bucket, proxy, terms } = await crash();
      const leases = [{ bucket, windowStartMs: MIDNIGHT, usedMax: 25 }];
      await proxy.confess(terms, { leases });
      await proxy.confess(terms, { leases });
      proxy.restart();
      await proxy.confess(terms, { epoch: 1, leases });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 0, forfeited: 15 });
      expect(await store().quotaSuspension()).toBeUndefined();
    });

    it("takes all back of a lease that was not used", async () => {
      const { bucket, proxy, terms } = await crash();
      await proxy.confess(terms, {});
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 0, forfeited: 0 });
    });

    it("forfeits everything that an untrusted epoch held", async () => {
      const { bucket, proxy, terms } = await crash();
      await proxy.confess(terms, { trusted: false });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 0, forfeited: 50 });
    });

    it("forfeits more than was granted where more was used", async () => {
      const { bucket, proxy, terms } = await crash();
      await proxy.confess(terms, {
        leases: [{ bucket, windowStartMs: MIDNIGHT, usedMax: 75 }],
      });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 0, forfeited: 65 });
    });

    it("keeps each of several dead epochs apart", async () => {
      const { bucket, proxy, terms } = await crash();
      await proxy.ask(budget(100), { bucket, need: 20 });
      proxy.restart();
      await proxy.confess(terms, { epoch: 2 });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 50, forfeited: 0 });
      await proxy.confess(terms, { epoch: 1 });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 0, forfeited: 0 });
    });

    it("takes slots of a dead epoch back at once", async () => {
      const bucket = nameBucket("slots");
      const proxy = newProxy();
      await proxy.ask(slots(3), { bucket, need: 3 });
      proxy.restart();
      expect(await proxy.ask(slots(3), { bucket, need: 3 })).toMatchObject({ granted: 3 });
      expect(await totalsOf(store(), bucket)).toMatchObject({ leased: 3 });
    });

    it("takes the share of a dead epoch back with no level", async () => {
      const bucket = nameBucket("requests:rate");
      const proxy = newProxy();
      const terms = rate(100);
      const want = 1_000_000;
      // Long after what other tests have reported: it is the only proxy.
      const at = { atMs: NOON + HOUR };
      const first = await proxy.ask(terms, { bucket, want, need: 10_000_000 }, at);
      expect(first).toMatchObject({ granted: 1_000_000, levelGranted: 100_000_000 });
      proxy.restart();
      const again = await proxy.ask(terms, { bucket, want, need: 10_000_000 }, at);
      expect(again).toMatchObject({ granted: 0, refusal: "exhausted", retryAfterMs: 100 });
      const later = { atMs: NOON + HOUR + 100 };
      expect(await proxy.ask(terms, { bucket, want, need: 10_000_000 }, later)).toMatchObject({
        levelGranted: 10_000_000,
      });
    });

    it("does not answer an earlier start", async () => {
      const { bucket, proxy } = await crash();
      await proxy.ask(budget(100), { bucket, need: 1 });
      proxy.epoch = 1;
      const outcome = await proxy.say({ [bucket]: budget(100) }, [report({ bucket, need: 1 })]);
      expect(outcome).toMatchObject({ outcome: "refused" });
    });
  });

  describe("a database that is older than its proxies", () => {
    const store = useStore(createFixture);
    const bucket = nameBucket();
    const terms = { [bucket]: budget(100) };

    it("adopts what a proxy was granted, and stops granting until it is resumed", async () => {
      const proxy = new PretendProxy(store, "older-1");
      await proxy.ask(budget(100), { bucket, need: 20 });
      const held = { bucket, windowStartMs: MIDNIGHT, granted: 70, confirmed: 30, need: 1 };
      const outcome = answered(await proxy.say(terms, [report(held)]));
      expect(outcome.suspended).toContain("older-1 was granted 70");
      expect(outcome.grants[0]).toMatchObject({ granted: 70, refusal: "suspended" });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 30, leased: 40, forfeited: 0 });

      const other = new PretendProxy(store, "older-2");
      const refused = await other.ask(budget(100), { bucket, need: 1 });
      expect(refused).toMatchObject({ granted: 0, refusal: "suspended", recalled: false });
      // Also one that asks for nothing: it may hold what the ledger does not know.
      expect(answered(await other.say({}, [])).stopped).toBe(true);
      expect(await store().quotaSuspension()).toMatchObject({ sinceMs: NOON });

      expect((await store().resumeQuota())?.reason).toContain("older-1");
      expect(await store().quotaSuspension()).toBeUndefined();
      expect(await other.ask(budget(100), { bucket, need: 1 })).toMatchObject({ granted: 1 });
      expect(await store().resumeQuota()).toBeUndefined();
    });

    it("notices reports that are missing", async () => {
      const proxy = new PretendProxy(store, "older-3");
      await proxy.say(terms, []);
      proxy.sequence = 7;
      const outcome = answered(await proxy.say(terms, [report({ bucket, need: 1 })]));
      expect(outcome.suspended).toContain("report 8, and the ledger knows of 1");
      expect(onlyGrant(outcome).refusal).toBe("suspended");
      await store().resumeQuota();
      expect(await proxy.ask(budget(100), { bucket, need: 1 })).toMatchObject({ granted: 1 });
    });

    it("notices an epoch that is missing", async () => {
      const proxy = new PretendProxy(store, "older-4", 5);
      proxy.previousEpoch = 4;
      const outcome = answered(await proxy.say(terms, []));
      expect(outcome.suspended).toContain("epoch 4");
      await store().resumeQuota();
    });

    it("counts what a dead epoch spent of a lease that is missing", async () => {
      const proxy = new PretendProxy(store, "older-5", 2);
      const lost = nameBucket();
      const leases = [{ bucket: lost, windowStartMs: MIDNIGHT, usedMax: 12 }];
      const outcome = answered(await proxy.confess({ [lost]: budget(100) }, { leases }));
      expect(outcome.suspended).toContain(lost);
      expect(await totalsOf(store(), lost)).toEqual({ spent: 0, leased: 0, forfeited: 12 });
      await store().resumeQuota();
    });
  });
}
