import { describe, expect, it } from "vitest";
import {
  answered,
  budget,
  DAY,
  HOUR,
  NOON,
  nameBucket,
  onlyGrant,
  PretendProxy,
  report,
  rolling,
  slots,
  totalsOf,
} from "./quota-material.ts";
import type { StoreFixture } from "./store-contract.ts";
import { useStore } from "./use-store.ts";

const MIDNIGHT = NOON - 12 * HOUR;

export function describeQuotaBudgets(createFixture: () => Promise<StoreFixture>): void {
  describe("budgets", () => {
    const store = useStore(createFixture);
    let count = 0;
    const newProxy = () => {
      count += 1;
      return new PretendProxy(store, `budget-proxy-${count}`);
    };

    it("grants what is needed, names the window, and counts what is left", async () => {
      const bucket = nameBucket();
      expect(await newProxy().ask(budget(100), { bucket, need: 30 })).toEqual({
        bucket,
        windowStartMs: MIDNIGHT,
        windowEndsInMs: 12 * HOUR,
        granted: 30,
        confirmed: 0,
        returned: 0,
        levelGranted: 0,
        levelReturned: 0,
        ceiling: 100,
        spent: 0,
        remaining: 70,
        refusal: "none",
        recalled: false,
        retryAfterMs: 0,
      });
    });

    it("books what is spent and what comes back, and echoes both", async () => {
      const bucket = nameBucket();
      const proxy = newProxy();
      await proxy.ask(budget(100), { bucket, need: 50 });
      const grant = await proxy.ask(budget(100), {
        bucket,
        windowStartMs: MIDNIGHT,
        granted: 50,
        confirmed: 20,
        returned: 25,
      });
      expect(grant).toMatchObject({ granted: 50, confirmed: 20, returned: 25, remaining: 75 });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 20, leased: 5, forfeited: 0 });
    });

    it("applies a report once, however often it comes", async () => {
      const bucket = nameBucket();
      const proxy = newProxy();
      const first = await proxy.ask(budget(100), { bucket, need: 40 });
      const again = onlyGrant(
        await proxy.repeat({ [bucket]: budget(100) }, [report({ bucket, need: 40 })]),
      );
      expect(again).toEqual(first);
      expect(await totalsOf(store(), bucket)).toMatchObject({ leased: 40 });
    });

    it("asks to ask again where a repeated report was refused, or nobody knows", async () => {
      const bucket = nameBucket();
      const proxy = newProxy();
      await proxy.ask(budget(10), { bucket, need: 40 });
      const again = onlyGrant(
        await proxy.repeat({ [bucket]: budget(10) }, [report({ bucket, need: 40 })]),
      );
      expect(again).toMatchObject({ granted: 0, refusal: "recalling" });
    });

    it("ignores a report that comes late", async () => {
      const bucket = nameBucket();
      const proxy = newProxy();
      await proxy.ask(budget(100), { bucket, need: 40 });
      await proxy.ask(budget(100), { bucket, windowStartMs: MIDNIGHT, granted: 40, confirmed: 9 });
      const late = await proxy.repeat({ [bucket]: budget(100) }, [report({ bucket, need: 40 })], {
        sequence: 1,
      });
      expect(onlyGrant(late)).toMatchObject({ granted: 40, confirmed: 9 });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 9, leased: 31, forfeited: 0 });
    });

    it("gives one that wishes a part, so that others find something", async () => {
      const bucket = nameBucket();
      const terms = budget(1_000_000);
      const grant = await newProxy().ask(terms, { bucket, want: 1_000_000 });
      expect(grant.granted).toBeGreaterThan(0);
      expect(grant.granted).toBeLessThanOrEqual(500_000);
    });

    it("refuses what nobody has, with the time of the next window", async () => {
      const bucket = nameBucket();
      const proxy = newProxy();
      const grant = await proxy.ask(budget(10), { bucket, need: 11 });
      expect(grant).toMatchObject({
        granted: 0,
        remaining: 10,
        refusal: "exhausted",
        retryAfterMs: 12 * HOUR,
      });
      const lifetime = budget(10, { window: { kind: "lifetime" } });
      const other = nameBucket("requests:lifetime");
      expect(await proxy.ask(lifetime, { bucket: other, need: 11 })).toMatchObject({
        refusal: "exhausted",
        retryAfterMs: 0,
        windowStartMs: 0,
        windowEndsInMs: -1,
      });
    });

    it("grants nothing from a limit of 0", async () => {
      const grant = await newProxy().ask(budget(0), { bucket: nameBucket(), need: 1, want: 9 });
      expect(grant).toMatchObject({ granted: 0, refusal: "exhausted", ceiling: 0 });
    });

    it("makes an overrun up with the next grant, and counts it as spent at once", async () => {
      const bucket = nameBucket();
      const proxy = newProxy();
      await proxy.ask(budget(100), { bucket, need: 50 });
      const over = { bucket, windowStartMs: MIDNIGHT, granted: 50, confirmed: 80 };
      expect(await proxy.ask(budget(100), over)).toMatchObject({ remaining: 20 });
      expect(await proxy.ask(budget(100), { ...over, need: 50 })).toMatchObject({
        granted: 100,
        remaining: 0,
      });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 80, leased: 20, forfeited: 0 });
    });

    it("begins a new window at its time, and lets the old one settle", async () => {
      const bucket = nameBucket();
      const proxy = newProxy();
      await proxy.ask(budget(100), { bucket, need: 100 });
      const tomorrow = { atMs: NOON + DAY };
      const fresh = await proxy.ask(budget(100), { bucket, need: 60 }, tomorrow);
      expect(fresh).toMatchObject({ windowStartMs: MIDNIGHT + DAY, granted: 60, remaining: 40 });
      const old = { bucket, windowStartMs: MIDNIGHT, granted: 100, confirmed: 70, returned: 30 };
      expect(await proxy.ask(budget(100), { ...old, need: 5, want: 5 }, tomorrow)).toMatchObject({
        windowEndsInMs: 0,
        granted: 100,
        confirmed: 70,
        returned: 30,
      });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 70, leased: 60, forfeited: 0 });
    });

    it("does not go back to a window when a clock does", async () => {
      const bucket = nameBucket();
      await newProxy().ask(budget(100), { bucket, need: 100 }, { atMs: NOON + DAY });
      expect(await newProxy().ask(budget(100), { bucket, need: 1 })).toMatchObject({
        windowStartMs: MIDNIGHT + DAY,
        granted: 0,
        remaining: 0,
      });
    });

    it("counts the days before in a rolling window, until they are over", async () => {
      const bucket = nameBucket("requests:rolling3@UTC");
      const proxy = newProxy();
      const terms = rolling(100, 3);
      await proxy.ask(terms, { bucket, need: 70 });
      const spent = { bucket, windowStartMs: MIDNIGHT, granted: 70, confirmed: 70 };
      await proxy.ask(terms, spent);
      for (const days of [1, 2]) {
        const at = { atMs: NOON + days * DAY };
        expect(await proxy.ask(terms, { bucket, need: 31 }, at)).toMatchObject({
          remaining: 30,
          refusal: "exhausted",
        });
      }
      expect(await proxy.ask(terms, { bucket, need: 31 }, { atMs: NOON + 3 * DAY })).toMatchObject({
        granted: 31,
        remaining: 69,
      });
    });

    it("counts what is given back of an earlier day of a rolling window at once", async () => {
      const bucket = nameBucket("requests:rolling3@UTC");
      const proxy = newProxy();
      const terms = rolling(100, 3);
      await proxy.ask(terms, { bucket, need: 100 });
      const outcome = await proxy.say(
        { [bucket]: terms },
        [
          report({ bucket, windowStartMs: MIDNIGHT, granted: 100, confirmed: 10, returned: 90 }),
          report({ bucket, need: 90 }),
        ],
        { atMs: NOON + DAY },
      );
      expect(answered(outcome).grants[1]).toMatchObject({ granted: 90, remaining: 0 });
    });

    it("publishes how far it is over after a limit was lowered, and calls leases back", async () => {
      const bucket = nameBucket();
      const proxy = newProxy();
      await proxy.ask(budget(100), { bucket, need: 80 });
      const held = { bucket, windowStartMs: MIDNIGHT, granted: 80, confirmed: 30 };
      expect(await proxy.ask(budget(50), held)).toMatchObject({
        ceiling: 50,
        remaining: 0,
        recalled: true,
        granted: 80,
      });
      const back = { ...held, returned: 50 };
      expect(await proxy.ask(budget(50), { ...back, need: 20 })).toMatchObject({
        granted: 100,
        recalled: false,
        remaining: 0,
      });
    });

    it("books for a policy that is gone, and grants nothing of it", async () => {
      const bucket = nameBucket();
      const proxy = newProxy();
      await proxy.ask(budget(100), { bucket, need: 50 });
      const gone = report({
        bucket,
        windowStartMs: MIDNIGHT,
        granted: 50,
        confirmed: 20,
        returned: 30,
        need: 9,
      });
      expect(onlyGrant(await proxy.say({}, [gone]))).toMatchObject({
        granted: 50,
        confirmed: 20,
        returned: 30,
        refusal: "gone",
        recalled: true,
      });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 20, leased: 0, forfeited: 0 });
      const unknown = nameBucket();
      const asked = await proxy.say({}, [report({ bucket: unknown, need: 9 })]);
      expect(onlyGrant(asked)).toMatchObject({ granted: 0, refusal: "gone" });
      expect(await totalsOf(store(), unknown)).toEqual({ spent: 0, leased: 0, forfeited: 0 });
    });

    it("lends slots out and takes them back", async () => {
      const bucket = nameBucket("slots");
      const [one, two] = [newProxy(), newProxy()];
      expect(await one.ask(slots(3), { bucket, need: 3 })).toMatchObject({ granted: 3 });
      const busy = { bucket, windowStartMs: 0, granted: 3, outstanding: 3 };
      await one.ask(slots(3), busy);
      expect(await two.ask(slots(3), { bucket, need: 1 })).toMatchObject({
        refusal: "exhausted",
        retryAfterMs: 1000,
      });
      await one.ask(slots(3), { ...busy, outstanding: 2, returned: 1 });
      expect(await two.ask(slots(3), { bucket, need: 1 })).toMatchObject({ granted: 1 });
    });

    it("applies many leases in one report", async () => {
      const proxy = newProxy();
      const buckets = Array.from({ length: 150 }, () => nameBucket());
      const terms = Object.fromEntries(buckets.map((bucket) => [bucket, budget(10)]));
      const asked = buckets.map((bucket, index) => report({ bucket, need: (index % 10) + 1 }));
      const { grants } = answered(await proxy.say(terms, asked));
      expect(grants.map(({ granted }) => granted)).toEqual(asked.map(({ need }) => need));
    });

    it("forgets who has settled long ago where a window never ends, and keeps its sums", async () => {
      const bucket = nameBucket("requests:lifetime");
      const terms = budget(10, { window: { kind: "lifetime" } });
      const [settled, holding] = [newProxy(), newProxy()];
      const past = { atMs: NOON - 500 * DAY };
      for (const proxy of [settled, holding]) await proxy.ask(terms, { bucket, need: 2 }, past);
      const spent = { bucket, windowStartMs: 0, granted: 2, confirmed: 2 };
      await settled.ask(terms, spent, past);
      await store().expireQuota({ beforeMs: NOON - 400 * DAY, limit: 100 });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 2, leased: 2, forfeited: 0 });
      const back = { ...spent, confirmed: 0, returned: 2 };
      expect(await holding.ask(terms, back, past)).toMatchObject({ granted: 2, returned: 2 });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 2, leased: 0, forfeited: 0 });
    });

    it("forgets windows that ended long ago, and nothing else", async () => {
      const bucket = nameBucket();
      const proxy = newProxy();
      await proxy.ask(budget(10), { bucket, need: 4 }, { atMs: NOON - 500 * DAY });
      await proxy.ask(budget(10), { bucket, need: 3 });
      const order = { beforeMs: NOON - 400 * DAY, limit: 100 };
      expect(await store().expireQuota(order)).toBe(1);
      expect(await store().expireQuota(order)).toBe(0);
      expect(await totalsOf(store(), bucket)).toMatchObject({ leased: 3 });
    });
  });
}
