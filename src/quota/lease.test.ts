import { describe, expect, it } from "vitest";
import {
  createBoundedAsk,
  createLimitedLeg,
  HouseFixture,
  type ProxyFixture,
  reserveOnce,
} from "../../test/support/quota-house.ts";
import type { BoundLimit, Limit } from "../mesh/limit.ts";
import type { Reservation } from "../mesh/quota.ts";
import { createUsage } from "../mesh/usage.ts";

const used = (outputTokens: number) => createUsage({ outputTokens });

async function admit(
  house: HouseFixture,
  taking: Reservation | Promise<Reservation>,
  waitMs = 1_900,
): Promise<Reservation> {
  const settled = Promise.resolve(taking);
  await house.clock.advance(waitMs);
  return settled;
}

function setUp(fields: Partial<Limit>, windowMs = 0) {
  const house = new HouseFixture();
  const bound = house.bind({ unit: "tokens", ...fields }, "", windowMs);
  return { house, bound, limits: [bound] };
}

/** What proxies hold of a bucket, as the ledger knows. */
function leased(house: HouseFixture, bound: BoundLimit): number {
  return house.ledger.totals(bound.bucket).reduce((sum, row) => sum + row.leased, 0);
}

describe("a window that ends", () => {
  const DAY = 86_400_000;

  it("is charged for what was reserved in it, however late that ends", async () => {
    const { house, bound, limits } = setUp({ amount: 10_000 }, DAY);
    await house.clock.advance(DAY - 10_000);
    const proxy = house.start("a");
    const one = await admit(house, reserveOnce(proxy, house.call(), limits));
    await house.clock.advance(20_000);
    const two = await admit(house, reserveOnce(proxy, house.call(), limits));
    one.settle(used(11), undefined);
    two.settle(used(22), undefined);
    await house.clock.advance(5_000);
    expect(house.ledger.totals(bound.bucket).map(({ spent }) => spent)).toEqual([11, 22]);
    expect(house.ledger.totals(bound.bucket)[0]?.leased).toBe(0);
    expect(proxy.quota.invariant()).toBe(0);
  });

  it("takes no reservation any more, and gives its rest back", async () => {
    const { house, bound, limits } = setUp({ amount: 400 }, DAY);
    await house.clock.advance(DAY - 10_000);
    const proxy = house.start("a");
    (await admit(house, reserveOnce(proxy, house.call(), limits))).settle(used(200), undefined);
    await house.clock.advance(20_000);
    (await admit(house, reserveOnce(proxy, house.call(), limits))).settle(used(200), undefined);
    await house.clock.advance(5_000);
    expect(house.ledger.totals(bound.bucket)).toMatchObject([
      { spent: 200, leased: 0 },
      { spent: 200 },
    ]);
  });
});

describe("a lease", () => {
  it("is asked for again before it is used up", async () => {
    const { house, limits } = setUp({ amount: 10_000_000 });
    const proxy = house.start("a");
    (await admit(house, reserveOnce(proxy, house.call(), limits))).release();
    proxy.quota.counters.waited = 0;
    for (let i = 0; i < 100; i++) {
      const taking = reserveOnce(proxy, house.call(), limits);
      (await admit(house, taking, 10)).settle(used(200), undefined);
    }
    expect(proxy.quota.counters.waited).toBe(0);
  });

  it("goes back when it is not used", async () => {
    const { house, bound, limits } = setUp({ amount: 10_000_000, surviveMs: 30_000 });
    const proxy = house.start("a");
    (await admit(house, reserveOnce(proxy, house.call(), limits))).settle(used(7), undefined);
    expect(leased(house, bound)).toBeGreaterThan(1_000);
    await house.clock.advance(70_000);
    expect(leased(house, bound)).toBe(0);
    expect(house.ledger.spent(bound.bucket)).toBe(7);
  });

  it("is right again after it was forgotten", async () => {
    const { house, bound, limits } = setUp({ amount: 10_000, surviveMs: 10_000 });
    const proxy = house.start("a");
    for (let i = 1; i <= 5; i++) {
      const taken = await admit(house, reserveOnce(proxy, house.call(), limits));
      taken.settle(used(i), undefined);
      await house.clock.advance(120_000);
      expect(proxy.quota.invariant()).toBe(0);
    }
    expect(house.ledger.spent(bound.bucket)).toBe(15);
    expect(leased(house, bound)).toBe(0);
  });

  it("goes to who needs it", async () => {
    const { house, limits } = setUp({ amount: 2_000 });
    const a = house.start("a");
    const b = house.start("b");
    (await admit(house, reserveOnce(a, house.call(), limits))).release();
    const taken: Reservation[] = [];
    for (let i = 0; i < 10; i++)
      taken.push(await admit(house, reserveOnce(b, house.call(), limits)));
    expect(taken).toHaveLength(10);
    expect(a.quota.invariant() + b.quota.invariant()).toBe(0);
  });

  it("comes back to the ledger when the proxy stops in good order", async () => {
    const { house, bound, limits } = setUp({ amount: 10_000 });
    const proxy = house.start("a");
    (await admit(house, reserveOnce(proxy, house.call(), limits))).settle(used(9), undefined);
    const closing = proxy.quota.close();
    await house.clock.advance(1_500);
    await closing;
    expect(leased(house, bound)).toBe(0);
    expect(house.ledger.spent(bound.bucket)).toBe(9);
    expect(proxy.watermarks.finished).toBe(true);
  });
});

describe("a crash", () => {
  async function crash(proxy: ProxyFixture, house: HouseFixture): Promise<ProxyFixture> {
    proxy.kill();
    const next = house.start(proxy.id, proxy.epoch + 1);
    next.watermarks.inherit(proxy.watermarks, proxy.epoch);
    await house.clock.advance(2_000);
    return next;
  }

  it("costs what was under way and not more", async () => {
    const { house, bound, limits } = setUp({ amount: 1_000_000 });
    const proxy = house.start("a");
    (await admit(house, reserveOnce(proxy, house.call(), limits))).settle(used(50), undefined);
    await house.clock.advance(2_000);
    await admit(house, reserveOnce(proxy, house.call(), limits));
    const next = await crash(proxy, house);
    const [row] = house.ledger.totals(bound.bucket);
    expect(row?.spent).toBe(50);
    expect(row?.leased).toBe(0);
    expect(row?.forfeited).toBeGreaterThanOrEqual(200);
    expect(row?.forfeited).toBeLessThanOrEqual(200 * 9);
    expect(next.quota.counters.confessed).toBe(1);
    expect(next.watermarks.left).toEqual([]);
  });

  it("costs nothing when nothing was under way", async () => {
    const { house, bound, limits } = setUp({ amount: 1_000_000 });
    const proxy = house.start("a");
    (await admit(house, reserveOnce(proxy, house.call(), limits))).settle(used(50), undefined);
    await house.clock.advance(2_000);
    await crash(proxy, house);
    expect(house.ledger.totals(bound.bucket)).toMatchObject([
      { spent: 50, leased: 0, forfeited: 0 },
    ]);
  });
});

describe("settling", () => {
  const cases = [
    { what: "what was counted", usage: used(30), spent: 30 },
    { what: "everything when nobody counted", usage: undefined, spent: 200 },
    { what: "nothing when the vendor has counted nothing", usage: used(0), spent: 0 },
    { what: "more than was taken, when it was more", usage: used(900), spent: 900 },
  ];
  for (const { what, usage, spent } of cases) {
    it(`charges ${what}`, async () => {
      const { house, bound, limits } = setUp({ amount: 100_000 });
      const proxy = house.start("a");
      (await admit(house, reserveOnce(proxy, house.call(), limits))).settle(usage, undefined);
      await house.clock.advance(2_000);
      expect(house.ledger.spent(bound.bucket)).toBe(spent);
      expect(proxy.quota.counters.overrun).toBe(spent > 200 ? 1 : 0);
      expect(proxy.quota.counters.overrunTokens).toBe(spent > 200 ? 700 : 0);
      expect(proxy.quota.invariant()).toBe(0);
    });
  }

  it("is done once, whatever is called after", async () => {
    const { house, bound, limits } = setUp({ amount: 100_000 });
    const proxy = house.start("a");
    const taken = await admit(house, reserveOnce(proxy, house.call(), limits));
    taken.settle(used(30), undefined);
    taken.settle(used(30), undefined);
    taken.release();
    await house.clock.advance(2_000);
    expect(house.ledger.spent(bound.bucket)).toBe(30);
    expect(proxy.quota.counters).toMatchObject({ reserved: 1, settled: 1, released: 0 });
  });

  it("is done for those who forget it, after an hour", async () => {
    const { house, bound, limits } = setUp({ amount: 100_000 });
    const proxy = house.start("a");
    await admit(house, reserveOnce(proxy, house.call(), limits));
    await house.clock.advance(3_590_000);
    expect(proxy.quota.counters.leaked).toBe(0);
    await house.clock.advance(20_000);
    expect(proxy.quota.counters.leaked).toBe(1);
    expect(house.ledger.spent(bound.bucket)).toBe(200);
  });
});

describe("requests and slots", () => {
  it("are taken once a call, and slots come back at its end", async () => {
    const house = new HouseFixture();
    const slots = house.bind({
      policy: "policies/s",
      kind: "concurrency",
      unit: "slots",
      amount: 1,
    });
    const requests = house.bind({ policy: "policies/r", unit: "requests", amount: 5 });
    const proxy = house.start("a");
    const leg = createLimitedLeg([slots, requests]);
    const [target] = leg.targets;
    if (target === undefined) throw new Error("no target");
    const call = proxy.quota.begin(house.call(), createBoundedAsk(10));
    (await admit(house, call.reserve(leg, target))).release();
    (await admit(house, call.reserve(leg, target))).settle(used(1), undefined);
    const other = proxy.quota.begin(house.call(), createBoundedAsk(10));
    const refused = Promise.allSettled([other.reserve(leg, target)]);
    await house.clock.advance(2_000);
    expect(await refused).toMatchObject([{ reason: { reason: "RATE_LIMITED" } }]);
    call.end();
    call.end();
    await house.clock.advance(1_000);
    (await admit(house, other.reserve(leg, target))).release();
    other.end();
    await house.clock.advance(2_000);
    expect(house.ledger.spent(requests.bucket)).toBe(1);
    expect(house.ledger.spent(slots.bucket)).toBe(0);
    expect(proxy.quota.invariant()).toBe(0);
  });
});

describe("what a caller is told", () => {
  it("is asked for when nothing is known, and then what is left and until when", async () => {
    const { house, limits } = setUp({ amount: 10_000 }, 86_400_000);
    const proxy = house.start("a");
    expect(proxy.quota.states(limits)).toMatchObject([{ ceiling: 10_000, remaining: 10_000 }]);
    await house.clock.advance(1_000);
    const taken = await admit(house, reserveOnce(proxy, house.call(), limits));
    taken.settle(used(100), undefined);
    await house.clock.advance(2_000);
    const [state] = proxy.quota.states(limits);
    expect(state).toMatchObject({ ceiling: 10_000, remaining: 9_900 });
    expect(state?.resetsInMs).toBeGreaterThan(86_000_000);
  });
});
