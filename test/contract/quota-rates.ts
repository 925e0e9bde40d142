import { describe, expect, it } from "vitest";
import { NOON, nameBucket, PretendProxy, rate, totalsOf } from "./quota-material.ts";
import type { StoreFixture } from "./store-contract.ts";
import { useStore } from "./use-store.ts";

const ALL = 1_000_000;
const ONE = 1_000_000;

export function describeQuotaRates(createFixture: () => Promise<StoreFixture>): void {
  describe("rates", () => {
    const store = useStore(createFixture);
    /** Nobody that reported for other tests counts here. */
    let at = NOON;
    let count = 0;
    const begin = () => {
      at += 3_600_000;
      count += 1;
      const [one, two] = ["a", "b"].map((each) => new PretendProxy(store, `rate-${count}-${each}`));
      if (one === undefined || two === undefined) throw new Error("too few");
      return { one, two, bucket: nameBucket("requests:rate"), atMs: at };
    };

    it("lends a share with its part of the level", async () => {
      const { one, two, bucket, atMs } = begin();
      await two.say({}, [], { atMs });
      const asked = { bucket, want: 500_000, need: 5 * ONE };
      expect(await one.ask(rate(100), asked, { atMs })).toMatchObject({
        granted: 500_000,
        levelGranted: 50 * ONE,
        ceiling: 100,
        remaining: 50,
        windowStartMs: 0,
        windowEndsInMs: -1,
        refusal: "none",
      });
      expect(await two.ask(rate(100), asked, { atMs })).toMatchObject({
        granted: 500_000,
        levelGranted: 50 * ONE,
      });
    });

    it("takes a share back with the level that is left of it", async () => {
      const { one, two, bucket, atMs } = begin();
      await one.ask(rate(100), { bucket, want: ALL, need: ONE }, { atMs });
      const back = { bucket, windowStartMs: 0, granted: ALL, returned: ALL };
      await one.ask(rate(100), { ...back, levelReturned: 30 * ONE }, { atMs });
      expect(await totalsOf(store(), bucket)).toMatchObject({ leased: 0 });
      const rest = await two.ask(rate(100), { bucket, want: ALL, need: 30 * ONE }, { atMs });
      expect(rest.levelGranted).toBe(30 * ONE);
    });

    it("fills the pool by its share of the rate, up to its share of the burst", async () => {
      const { one, two, bucket, atMs } = begin();
      await one.ask(rate(100), { bucket, want: ALL, need: ONE }, { atMs });
      const half = { bucket, windowStartMs: 0, granted: ALL, returned: ALL / 2 };
      await one.ask(rate(100), half, { atMs });
      const asked = { bucket, want: ALL, need: 5 * ONE };
      const soon = await two.ask(rate(100), { ...asked, need: 6 * ONE }, { atMs: atMs + 100 });
      expect(soon.levelGranted).toBe(0);
      const later = await two.ask(rate(100), asked, { atMs: atMs + 100 });
      expect(later.levelGranted).toBe(5 * ONE);
    });

    it("never lends out more than the whole", async () => {
      const { one, two, bucket, atMs } = begin();
      for (let round = 0; round < 5; round += 1) {
        for (const proxy of [one, two]) {
          await proxy.ask(rate(100), { bucket, want: ALL, need: ONE }, { atMs: atMs + round });
        }
      }
      expect((await totalsOf(store(), bucket)).leased).toBeLessThanOrEqual(ALL);
    });

    it("moves a rate too small to be divided from one home to another", async () => {
      const { one, two, bucket, atMs } = begin();
      const terms = rate(1);
      await two.say({}, [], { atMs });
      expect(await one.ask(terms, { bucket, want: 10, need: ONE }, { atMs })).toMatchObject({
        granted: ALL,
        levelGranted: ONE,
      });
      const asked = { bucket, want: 10, need: ONE };
      expect(await two.ask(terms, asked, { atMs: atMs + 2000 })).toMatchObject({
        refusal: "recalling",
      });
      const back = { bucket, windowStartMs: 0, granted: ALL, returned: ALL, levelReturned: ONE };
      await one.ask(terms, back, { atMs: atMs + 2010 });
      expect(await two.ask(terms, asked, { atMs: atMs + 2050 })).toMatchObject({
        granted: ALL,
        levelGranted: ONE,
      });
    });

    it("does not wander for each request once the shares are fair", async () => {
      const { one, two, bucket, atMs } = begin();
      await two.say({}, [], { atMs });
      const asked = { bucket, want: ALL / 2, need: 50 * ONE };
      await one.ask(rate(100), asked, { atMs });
      await two.ask(rate(100), asked, { atMs });
      const held = { bucket, windowStartMs: 0, granted: ALL / 2, need: 10 * ONE };
      await one.ask(rate(100), held, { atMs: atMs + 20 });
      const refused = await two.ask(rate(100), held, { atMs: atMs + 700 });
      expect(refused).toMatchObject({ refusal: "exhausted", retryAfterMs: 200 });
    });

    it("says when a need will be there, and that one beyond the burst never will", async () => {
      const { one, bucket, atMs } = begin();
      await one.ask(rate(100, 10), { bucket, need: 10 * ONE }, { atMs });
      const all = { bucket, windowStartMs: 0, granted: ALL, returned: ALL, need: 5 * ONE };
      const soon = await one.ask(rate(100, 10), all, { atMs });
      expect(soon).toMatchObject({ refusal: "exhausted", retryAfterMs: 50 });
      const never = await one.ask(rate(100, 10), { ...all, need: 11 * ONE }, { atMs });
      expect(never).toMatchObject({ refusal: "exhausted", retryAfterMs: 0 });
    });

    it("grants nothing of a rate of 0", async () => {
      const { one, bucket, atMs } = begin();
      const grant = await one.ask(rate(0), { bucket, want: ALL, need: ONE }, { atMs });
      expect(grant).toMatchObject({ levelGranted: 0, refusal: "exhausted", retryAfterMs: 0 });
    });
  });
}
