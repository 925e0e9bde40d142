import { describe, expect, it } from "vitest";
import {
  answered,
  budget,
  HOUR,
  NOON,
  nameBucket,
  onlyGrant,
  PretendProxy,
  report,
} from "./quota-material.ts";
import type { StoreFixture } from "./store-contract.ts";
import { useStore } from "./use-store.ts";

const MIDNIGHT = NOON - 12 * HOUR;

export function describeQuotaRecalls(createFixture: () => Promise<StoreFixture>): void {
  describe("recalls", () => {
    const store = useStore(createFixture);
    let count = 0;
    const newProxies = () => {
      count += 1;
      return ["a", "b", "c"].map((each) => new PretendProxy(store, `recall-${count}-${each}`));
    };

    it("asks others for what they hold unused, and grants it when it has come", async () => {
      const [one, two] = newProxies();
      if (one === undefined || two === undefined) throw new Error("too few");
      const bucket = nameBucket();
      const terms = budget(100);
      await one.ask(terms, { bucket, need: 90 });
      const outcome = answered(await two.say({ [bucket]: terms }, [report({ bucket, need: 40 })]));
      expect(outcome.recalls).toEqual([bucket]);
      expect(outcome.grants[0]).toMatchObject({ granted: 0, refusal: "recalling" });
      const recalled = await store().recalledQuota({ sinceMs: NOON - 1, limit: 10 });
      expect(recalled).toContainEqual({ bucket, proxyId: two.id, askedMs: NOON });

      const held = { bucket, windowStartMs: MIDNIGHT, granted: 90, confirmed: 20 };
      expect(await one.ask(terms, held)).toMatchObject({ recalled: true });
      await one.ask(terms, { ...held, returned: 70 });
      expect(await two.ask(terms, { bucket, need: 40 })).toMatchObject({ granted: 40 });
    });

    it("says at once when even all together are not enough", async () => {
      const [one, two] = newProxies();
      const bucket = nameBucket();
      await one?.ask(budget(100), { bucket, need: 90 });
      const held = { bucket, windowStartMs: MIDNIGHT, granted: 90, confirmed: 20, outstanding: 40 };
      await one?.ask(budget(100), held);
      const outcome = await two?.say({ [bucket]: budget(100) }, [report({ bucket, need: 41 })]);
      if (outcome === undefined) throw new Error("too few");
      expect(answered(outcome).recalls).toEqual([]);
      expect(onlyGrant(outcome)).toMatchObject({ refusal: "exhausted", retryAfterMs: 1000 });
    });

    it("spends everything in the end, down to the last unit", async () => {
      const proxies = newProxies();
      const bucket = nameBucket();
      const terms = budget(200);
      let spent = 0;
      const leases = proxies.map(() => ({ granted: 0, confirmed: 0, returned: 0 }));
      // Everybody asks for 7 in turn, returns what is called back, and spends what is granted.
      for (let round = 0; round < 200; round += 1) {
        const index = round % proxies.length;
        const lease = leases[index];
        const proxy = proxies[index];
        if (lease === undefined || proxy === undefined) throw new Error("too few");
        const available = lease.granted - lease.confirmed - lease.returned;
        const grant = await proxy.ask(
          terms,
          { bucket, windowStartMs: MIDNIGHT, ...lease, want: 56, need: Math.max(0, 7 - available) },
          { atMs: NOON + round * 10 },
        );
        lease.granted = grant.granted;
        const now = lease.granted - lease.confirmed - lease.returned;
        if (now >= 7) {
          lease.confirmed += 7;
          spent += 7;
        }
        if (grant.recalled) lease.returned = lease.granted - lease.confirmed;
        if (grant.refusal === "exhausted") break;
      }
      expect(spent).toBe(196);
    });

    it("lets one collect, though two need more than is free", async () => {
      const [one, two, three] = newProxies();
      if (one === undefined || two === undefined || three === undefined) throw new Error("too few");
      const bucket = nameBucket();
      const terms = budget(100);
      const lease = { bucket, windowStartMs: MIDNIGHT, granted: 50 };
      await one.ask(terms, { bucket, need: 50 });
      await two.ask(terms, { bucket, need: 50 });
      expect(await one.ask(terms, { ...lease, need: 30 })).toMatchObject({
        refusal: "recalling",
        recalled: false,
      });
      // It waits too, and gives back nevertheless.
      expect(await two.ask(terms, { ...lease, need: 30 })).toMatchObject({
        refusal: "recalling",
        recalled: true,
      });
      expect(await two.ask(terms, { ...lease, returned: 50, need: 30 })).toMatchObject({
        granted: 50,
        refusal: "recalling",
      });
      expect(await one.ask(terms, { ...lease, need: 30 })).toMatchObject({ granted: 80 });
    });

    it("does not let one wait for a proxy that is gone", async () => {
      const [one, two] = newProxies();
      const bucket = nameBucket();
      const terms = budget(100);
      await one?.ask(terms, { bucket, need: 90 });
      const asked = { bucket, need: 40 };
      expect(await two?.ask(terms, asked)).toMatchObject({ refusal: "recalling" });
      for (let ms = 50; ms <= 1500; ms += 50) await two?.ask(terms, asked, { atMs: NOON + ms });
      expect(await two?.ask(terms, asked, { atMs: NOON + 1600 })).toMatchObject({
        refusal: "exhausted",
        retryAfterMs: 1000,
      });
    });

    it("asks those anew whom a recall that was over at once did not reach", async () => {
      const [one, two, three] = newProxies();
      const bucket = nameBucket();
      const terms = budget(100);
      await one?.ask(terms, { bucket, need: 50 });
      await two?.ask(terms, { bucket, need: 30 });
      const asked = { bucket, need: 40 };
      expect(await three?.ask(terms, asked)).toMatchObject({ refusal: "recalling" });
      // Another control, whose proxy the first is, has not even looked.
      const held = { bucket, windowStartMs: MIDNIGHT, granted: 30, returned: 30 };
      await two?.ask(terms, held, { atMs: NOON + 10 });
      expect(await three?.ask(terms, asked, { atMs: NOON + 50 })).toMatchObject({ granted: 40 });
      const more = { ...held, need: 60 };
      expect(await two?.ask(terms, more, { atMs: NOON + 5_000 })).toMatchObject({
        refusal: "recalling",
      });
    });

    it("asks those anew who were cut off from a recall and are heard of again", async () => {
      const [one, two] = newProxies();
      const bucket = nameBucket();
      const terms = budget(100);
      await one?.ask(terms, { bucket, need: 90 });
      const asked = { bucket, need: 40 };
      for (let ms = 0; ms <= 1_500; ms += 50) await two?.ask(terms, asked, { atMs: NOON + ms });
      expect(await two?.ask(terms, asked, { atMs: NOON + 1_600 })).toMatchObject({
        refusal: "exhausted",
      });
      await one?.say({}, [], { atMs: NOON + 5_000 });
      const outcome = await two?.say({ [bucket]: terms }, [report(asked)], { atMs: NOON + 6_000 });
      if (outcome === undefined) throw new Error("too few");
      expect(answered(outcome).recalls).toEqual([bucket]);
    });

    it("does not ask dead epochs", async () => {
      const [one, two] = newProxies();
      const bucket = nameBucket();
      await one?.ask(budget(100), { bucket, need: 90 });
      one?.restart();
      await one?.say({}, []);
      expect(await two?.ask(budget(100), { bucket, need: 40 })).toMatchObject({
        refusal: "exhausted",
      });
    });
  });
}
