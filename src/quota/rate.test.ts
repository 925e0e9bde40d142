import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HouseFixture, type ProxyFixture, reserveOnce } from "../../test/support/quota-house.ts";
import type { Limit } from "../mesh/limit.ts";
import type { Reservation } from "../mesh/quota.ts";
import { createSeededRandom } from "../mesh/random.ts";
import { createUsage } from "../mesh/usage.ts";
import { RateLevel, WHOLE_SHARE } from "./rate-level.ts";

describe("RateLevel", () => {
  const rate = { amount: 60, periodMs: 60_000, burst: 10 };

  function whole(): RateLevel {
    const level = new RateLevel(rate, 0);
    level.grant(WHOLE_SHARE, 10_000_000, 0);
    return level;
  }

  it("admits its burst at once, and then what comes in", () => {
    const level = whole();
    for (let i = 0; i < 10; i++) {
      expect(level.fits(1, 0)).toBe(true);
      level.take(1, 0);
    }
    expect(level.msUntil(1, 0)).toBe(1_000);
    expect(level.msUntil(11, 0)).toBeUndefined();
    expect(level.fits(1, 999)).toBe(false);
    expect(level.fits(1, 1_000)).toBe(true);
  });

  it("fills by its share up to its share", () => {
    const level = new RateLevel(rate, 0);
    level.grant(WHOLE_SHARE / 2, 0, 0);
    expect(level.levelAt(2_000)).toBe(1_000_000);
    expect(level.levelAt(60_000)).toBe(5_000_000);
  });

  it("takes its part of the level along when a share is given up", () => {
    const level = whole();
    expect(level.giveUp(WHOLE_SHARE / 4, 0)).toBe(2_500_000);
    expect(level.levelAt(0)).toBe(7_500_000);
  });

  it("gives back what was not used, as far as it would still be there", () => {
    const level = whole();
    const early = level.take(8, 0);
    level.refund(8, early, 0);
    expect(level.levelAt(0)).toBe(10_000_000);
    const late = level.take(4, 0);
    // It is full again when the next is taken: the four would have flowed over.
    level.take(10, 10_000);
    level.refund(4, late, 10_000);
    expect(level.levelAt(10_000)).toBe(0);
  });

  it("never admits more than the burst and what came in, whatever comes back when", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(3_000), fc.nat(9), fc.nat(9), fc.boolean()), { maxLength: 60 }),
        (steps) => {
          const level = whole();
          const admitted: { at: number; units: number }[] = [];
          const open: { mark: number; taken: number; used: number }[] = [];
          let now = 0;
          for (const [wait, units, used, ends] of steps) {
            now += wait;
            if (ends) {
              const one = open.shift();
              if (one !== undefined) level.refund(one.taken - one.used, one.mark, now);
            } else if (level.fits(units, now)) {
              const actual = Math.min(units, used);
              open.push({ mark: level.take(units, now), taken: units, used: actual });
              admitted.push({ at: now, units: actual });
            }
          }
          expectWithin(admitted, rate);
        },
      ),
    );
  });
});

/** In no stretch of time is more admitted than the burst and what comes in meanwhile. */
function expectWithin(
  admitted: readonly { readonly at: number; readonly units: number }[],
  { amount, periodMs, burst }: Pick<Limit, "amount" | "periodMs" | "burst">,
): void {
  let excess = 0;
  for (let from = 0; from < admitted.length; from++) {
    let sum = 0;
    for (let to = from; to < admitted.length; to++) {
      sum += admitted[to]?.units ?? 0;
      const elapsed = (admitted[to]?.at ?? 0) - (admitted[from]?.at ?? 0);
      excess = Math.max(excess, sum - burst - (elapsed * amount) / periodMs);
    }
  }
  expect(excess).toBeLessThan(1e-6);
}

describe("a rate over several proxies", () => {
  const cases: readonly Partial<Limit>[] = [
    { unit: "requests", amount: 60, burst: 5 },
    { unit: "requests", amount: 6_000, burst: 40 },
    { unit: "tokens", amount: 600_000, burst: 4_000 },
  ];
  for (const fields of cases) {
    it(`is never exceeded: ${fields.amount} ${fields.unit} a minute`, async () => {
      for (const seed of [1, 2, 3]) {
        const { admitted, limit } = await hammer(fields, seed);
        expect(admitted.length).toBeGreaterThan(20);
        expectWithin(admitted, limit);
      }
    });
  }

  it("can be used by whoever needs it", async () => {
    const house = new HouseFixture();
    const limits = [house.bind({ unit: "requests", kind: "rate", amount: 60, burst: 4 })];
    for (const id of ["a", "b", "c"]) {
      const proxy = house.start(id);
      const taking = Promise.resolve(reserveOnce(proxy, house.call(), limits));
      await house.clock.advance(2_000);
      expect(await taking).toBeDefined();
      await house.clock.advance(10_000);
    }
  });

  it("says when it is worth coming back", async () => {
    const house = new HouseFixture();
    const limits = [house.bind({ unit: "requests", kind: "rate", amount: 60, burst: 1 })];
    const proxy = house.start("a");
    const first = Promise.resolve(reserveOnce(proxy, house.call(), limits));
    await house.clock.advance(100);
    await first;
    const second = Promise.allSettled([
      new Promise((resolve) => resolve(reserveOnce(proxy, house.call(), limits))),
    ]);
    await house.clock.advance(2_000);
    const [outcome] = await second;
    expect(outcome).toMatchObject({ reason: { reason: "RATE_LIMITED" } });
    const reason: unknown = outcome?.status === "rejected" ? outcome.reason : undefined;
    expect(reason).toHaveProperty("details.retryAfterMs");
  });

  it("refuses at once what is more than it ever admits", () => {
    const house = new HouseFixture();
    const limits = [house.bind({ unit: "tokens", kind: "rate", amount: 150 })];
    const proxy = house.start("a");
    expect(() => reserveOnce(proxy, house.call(), limits)).toThrow("at most 150 tokens at once");
  });
});

/** Three proxies that ask at random for a minute and more. */
async function hammer(fields: Partial<Limit>, seed: number) {
  const house = new HouseFixture();
  const random = createSeededRandom(seed);
  const bound = house.bind({ kind: "rate", ...fields });
  const proxies = ["a", "b", "c"].map((id) => house.start(id));
  const admitted: { at: number; units: number }[] = [];
  const open: Reservation[] = [];
  const ask = (proxy: ProxyFixture) => {
    const take = (taken: Reservation) => {
      admitted.push({ at: house.clock.now(), units: fields.unit === "tokens" ? 200 : 1 });
      open.push(taken);
    };
    try {
      const taking = reserveOnce(proxy, house.call(), [bound]);
      if (taking instanceof Promise) taking.then(take, () => {});
      else take(taking);
    } catch {
      // It is refused: that is what a limit is for.
    }
  };
  for (let i = 0; i < 250; i++) {
    const proxy = proxies[Math.floor(random.unit() ** 2 * 3)];
    for (let n = Math.floor(random.unit() * 8); n > 0 && proxy !== undefined; n--) ask(proxy);
    if (random.unit() < 0.3) open.shift()?.settle(undefined, undefined);
    if (random.unit() < 0.05) open.shift()?.settle(createUsage({ outputTokens: 200 }), undefined);
    await house.clock.advance(Math.floor(random.unit() ** 3 * 2_000));
  }
  for (const proxy of proxies) expect(proxy.quota.invariant()).toBe(0);
  return { admitted, limit: bound.limit };
}
