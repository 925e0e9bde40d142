import { describe, expect, it } from "vitest";
import {
  createBoundedAsk,
  createLimitedLeg,
  HouseFixture,
  reserveOnce,
} from "../../test/support/quota-house.ts";
import { createTestTarget } from "../../test/support/targets.ts";
import type { Limit } from "../mesh/limit.ts";
import type { Reservation } from "../mesh/quota.ts";

describe("a bucket that is forgotten while a request is under way", () => {
  const cases: readonly (Partial<Limit> & { readonly takes: number })[] = [
    { unit: "tokens", amount: 6_000, takes: 200 },
    { unit: "requests", amount: 30, takes: 1 },
  ];
  for (const { takes, ...fields } of cases) {
    it(`has one successor, which admits no more than there is: ${fields.unit}`, async () => {
      const house = new HouseFixture();
      const bound = house.bind({ kind: "rate", ...fields });
      const { amount, burst, periodMs } = bound.limit;
      const proxy = house.start("a");
      const long = await take();
      await house.clock.advance(400_000);
      const beganMs = house.clock.now();
      let admitted = 0;
      await drain();
      long?.settle(undefined, undefined);
      for (let second = 0; second < 40; second++) {
        await house.clock.advance(1_000);
        await drain();
      }
      const cameIn = ((house.clock.now() - beganMs) * amount) / periodMs;
      expect(admitted).toBeGreaterThanOrEqual(burst);
      expect(admitted).toBeLessThanOrEqual(burst + cameIn);
      const named = proxy.reports.map(({ leases }) => leases.length);
      expect(Math.max(...named)).toBe(1);

      async function drain(): Promise<void> {
        while ((await take()) !== undefined) admitted += takes;
      }

      /** Each brings a list of its own, as keys do: undefined when it is refused. */
      async function take(): Promise<Reservation | undefined> {
        const taking = new Promise<Reservation>((resolve) => {
          resolve(reserveOnce(proxy, house.call(), [bound]));
        });
        const outcomes: (Reservation | undefined)[] = [];
        taking.then(
          (taken) => outcomes.push(taken),
          () => outcomes.push(undefined),
        );
        while (outcomes.length === 0) await house.clock.advance(10);
        return outcomes[0];
      }
    });
  }
});

describe("a bucket that nobody uses any more", () => {
  const cases: readonly Partial<Limit>[] = [
    { unit: "requests", amount: 0 },
    { unit: "requests", amount: 1 },
    { unit: "slots", kind: "concurrency", amount: 10 },
    { unit: "requests", kind: "rate", amount: 60 },
  ];
  for (const fields of cases) {
    it(`is not asked for again and again: ${JSON.stringify(fields)}`, async () => {
      const house = new HouseFixture();
      const bound = house.bind(fields);
      const proxy = house.start("a");
      const quota = proxy.quota.begin(house.call(), createBoundedAsk(36));
      const leg = createLimitedLeg([bound]);
      const taking = new Promise<Reservation>((resolve) => {
        resolve(quota.reserve(leg, leg.targets[0] ?? createTestTarget()));
      });
      const outcome = Promise.allSettled([taking]);
      await house.clock.advance(5_000);
      const [taken] = await outcome;
      if (taken?.status === "fulfilled") taken.value.release();
      quota.end();
      await house.clock.advance(200_000);
      const before = proxy.reports.length;
      await house.clock.advance(30_000);
      expect(proxy.reports.slice(before).flatMap(({ leases }) => leases)).toEqual([]);
    });
  }
});
