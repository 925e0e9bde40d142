import { describe, expect, it } from "vitest";
import type { QuotaReportOutcome, QuotaTerms } from "../../src/store/quota-report.ts";
import {
  answered,
  budget,
  HOUR,
  NOON,
  nameBucket,
  PretendProxy,
  rate,
  report,
  slots,
  totalsOf,
} from "./quota-material.ts";
import type { StoreFixture } from "./store-contract.ts";
import { useStore } from "./use-store.ts";

const MIDNIGHT = NOON - 12 * HOUR;

/** Proxies that do not come back: released by an operator, or confessed for by a sibling. */
export function describeQuotaDepartures(createFixture: () => Promise<StoreFixture>): void {
  const store = useStore(createFixture);
  let count = 0;
  const newProxy = (epoch = 1) => {
    count += 1;
    return new PretendProxy(store, `leaving-${count}`, epoch);
  };

  /** A proxy that holds 60 of 100, and has spent 10. */
  async function hold(proxy = newProxy()) {
    const bucket = nameBucket();
    await proxy.ask(budget(100), { bucket, need: 60 });
    const held = { bucket, windowStartMs: MIDNIGHT, granted: 60, confirmed: 10, outstanding: 5 };
    await proxy.ask(budget(100), held);
    return { bucket, proxy, terms: { [bucket]: budget(100) } };
  }

  const release = (proxy: PretendProxy) =>
    store().releaseQuota({ proxyId: proxy.id, atMs: NOON, byStoreClock: true });

  describe("a proxy that is released", () => {
    it("forfeits what it held of a budget", async () => {
      const { bucket, proxy } = await hold();
      expect(await release(proxy)).toMatchObject({
        seenMs: NOON,
        leases: [{ bucket, kind: "budget", unit: "requests", forfeited: 50, returned: 0 }],
        violations: [],
      });
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 0, forfeited: 50 });
      const other = newProxy();
      expect(await other.ask(budget(100), { bucket, need: 40 })).toMatchObject({ granted: 40 });
      expect(await other.ask(budget(100), { bucket, need: 1 })).toMatchObject({
        refusal: "exhausted",
      });
    });

    it("gives slots and rates back, and no level", async () => {
      const proxy = newProxy();
      const places = nameBucket("slots");
      await proxy.ask(slots(3), { bucket: places, need: 3 });
      const flow = nameBucket("requests:rate");
      await proxy.ask(rate(100), { bucket: flow, want: 1_000_000, need: 10_000_000 });
      expect((await release(proxy))?.leases).toMatchObject([
        { bucket: places, forfeited: 0, returned: 3 },
        { bucket: flow, forfeited: 0, returned: expect.any(Number) },
      ]);
      const other = newProxy();
      expect(await other.ask(slots(3), { bucket: places, need: 3 })).toMatchObject({ granted: 3 });
      expect(await totalsOf(store(), flow)).toMatchObject({ leased: 0, forfeited: 0 });
    });

    it("does not have its later reports booked", async () => {
      const { bucket, proxy, terms } = await hold();
      await release(proxy);
      const late = { bucket, windowStartMs: MIDNIGHT, granted: 60, confirmed: 60 };
      expect((await proxy.say(terms, [report(late)])).outcome).toBe("refused");
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 0, forfeited: 50 });
    });

    it("begins anew with its next start, also by a clock that was set back", async () => {
      const { bucket, proxy, terms } = await hold();
      await release(proxy);
      // Once more does no harm.
      expect(await release(proxy)).toMatchObject({ leases: [], violations: [] });
      proxy.restart();
      const leases = [{ bucket, windowStartMs: MIDNIGHT, usedMax: 30 }];
      expect(answered(await proxy.confess(terms, { leases })).suspended).toBeUndefined();
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 0, forfeited: 50 });
      expect(await proxy.ask(budget(100), { bucket, need: 40 })).toMatchObject({ granted: 40 });
    });

    it("has what several dead starts of it held closed too", async () => {
      const { bucket, proxy } = await hold();
      proxy.restart();
      await proxy.ask(budget(100), { bucket, need: 20 });
      expect((await release(proxy))?.leases).toHaveLength(2);
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 0, forfeited: 70 });
    });

    it("is one that has reported", async () => {
      const found = await store().releaseQuota({ proxyId: "leaving-nobody", atMs: NOON });
      expect(found).toBeUndefined();
    });
  });

  describe("a proxy that a sibling confesses for", () => {
    /** Both began in the same second, and only one of them comes back. */
    async function leave() {
      const left = await hold();
      const sibling = newProxy();
      await sibling.ask(budget(100), { bucket: left.bucket, need: 20 });
      sibling.restart();
      const tell = (more: object): Promise<QuotaReportOutcome> =>
        sibling.confess(left.terms, { proxyId: left.proxy.id, epoch: 1, ...more });
      return { ...left, sibling, tell };
    }

    const spentAtMost = (bucket: string, usedMax: number) => ({
      leases: [{ bucket, windowStartMs: MIDNIGHT, usedMax }],
    });

    it("has what it spent at most forfeited, and the rest comes back", async () => {
      const { bucket, tell } = await leave();
      expect(answered(await tell(spentAtMost(bucket, 25))).suspended).toBeUndefined();
      // What the sibling itself held is not confessed by that.
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 20, forfeited: 15 });
    });

    it("has everything forfeited where nobody knows", async () => {
      const { bucket, tell } = await leave();
      answered(await tell({ trusted: false }));
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 20, forfeited: 50 });
    });

    it("is told apart from the sibling's own epoch of the same number", async () => {
      const { bucket, sibling, terms } = await leave();
      answered(await sibling.confess(terms, { epoch: 1, ...spentAtMost(bucket, 5) }));
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 50, forfeited: 5 });
    });

    it("gives its slots and rates back at once", async () => {
      const proxy = newProxy();
      const places = nameBucket("slots");
      await proxy.ask(slots(3), { bucket: places, need: 3 });
      const flow = nameBucket("requests:rate");
      await proxy.ask(rate(100), { bucket: flow, want: 1_000_000, need: 10_000_000 });
      const terms: Record<string, QuotaTerms> = { [places]: slots(3), [flow]: rate(100) };
      const sibling = newProxy();
      answered(await sibling.confess(terms, { proxyId: proxy.id, epoch: 1 }));
      expect(await totalsOf(store(), places)).toMatchObject({ leased: 0 });
      expect(await totalsOf(store(), flow)).toMatchObject({ leased: 0 });
    });

    it("may be confessed for again, also by itself", async () => {
      const { bucket, proxy, terms, tell } = await leave();
      await tell(spentAtMost(bucket, 25));
      await tell(spentAtMost(bucket, 25));
      expect((await proxy.say(terms, [])).outcome).toBe("refused");
      proxy.restart();
      answered(await proxy.confess(terms, spentAtMost(bucket, 25)));
      const later = answered(await tell(spentAtMost(bucket, 25)));
      expect(later.suspended).toBeUndefined();
      expect(await totalsOf(store(), bucket)).toEqual({ spent: 10, leased: 20, forfeited: 15 });
      expect(await proxy.ask(budget(100), { bucket, need: 5 })).toMatchObject({ granted: 5 });
    });

    it("makes the ledger doubt itself where it does not know the lease", async () => {
      const lost = nameBucket();
      const gone = newProxy();
      const told = { proxyId: gone.id, epoch: 1, ...spentAtMost(lost, 12) };
      const outcome = answered(await newProxy().confess({ [lost]: budget(100) }, told));
      expect(outcome.suspended).toContain(`${gone.id} held a lease of ${lost}`);
      expect(await totalsOf(store(), lost)).toEqual({ spent: 0, leased: 0, forfeited: 12 });
      await store().resumeQuota();
    });

    it("locks in one order with those who confess for one another", async () => {
      const [one, two] = [await hold(newProxy(5)), await hold(newProxy(5))];
      const terms = { ...one.terms, ...two.terms };
      const cross = async (by: PretendProxy, about: PretendProxy) => {
        by.restart();
        const told = { proxyId: about.id, epoch: 4 };
        for (let round = 0; round < 10; round++) answered(await by.confess(terms, told));
      };
      await Promise.all([cross(one.proxy, two.proxy), cross(two.proxy, one.proxy)]);
      expect(await totalsOf(store(), one.bucket)).toMatchObject({ leased: 50 });
    });
  });
}
