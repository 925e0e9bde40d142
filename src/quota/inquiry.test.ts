import { describe, expect, it } from "vitest";
import type { ProxyFixture } from "../../test/support/quota-house.ts";
import { HouseFixture, reserveOnce } from "../../test/support/quota-house.ts";
import type { BoundLimit } from "../mesh/limit.ts";

/** What one attempt takes: 36 bytes and 64 of overhead, and 100 of output. */
const TOKENS = 200;

async function inquire(house: HouseFixture, proxy: ProxyFixture, limits: readonly BoundLimit[]) {
  const asking = proxy.quota.inquire(limits);
  await house.clock.advance(600);
  return (await asking)[0];
}

describe("asking what is left", () => {
  it("waits for the ledger's first word", async () => {
    const house = new HouseFixture();
    const limits = [house.bind({ unit: "tokens", amount: 1_000 })];
    const state = await inquire(house, house.start("a"), limits);
    expect(state).toMatchObject({ known: true, ceiling: 1_000, remaining: 1_000 });
  });

  it("hears what others have taken meanwhile, also of a lease that it holds", async () => {
    const house = new HouseFixture();
    const limits = [house.bind({ unit: "tokens", amount: 100_000 })];
    const [here, there] = [house.start("a"), house.start("b")];
    const spend = async (proxy: ProxyFixture) => {
      const taking = Promise.resolve(reserveOnce(proxy, house.call(), limits));
      await house.clock.advance(20);
      (await taking).settle(undefined, undefined);
    };
    await spend(here);
    const before = await inquire(house, here, limits);
    for (let times = 0; times < 40; times++) await spend(there);
    await house.clock.advance(1_000);
    const after = await inquire(house, here, limits);
    expect(before?.remaining).toBe(100_000 - TOKENS);
    // What the other holds beyond is nobody's loss.
    expect(after?.remaining).toBe(100_000 - 41 * TOKENS);
    const taking = Promise.resolve(reserveOnce(here, house.call(), limits));
    await house.clock.advance(2_000);
    const under = await inquire(house, here, limits);
    expect(under?.remaining).toBe(100_000 - 42 * TOKENS);
    (await taking).release();
  });

  it("asks for each bucket once a second at most", async () => {
    const house = new HouseFixture();
    const limits = [house.bind({ unit: "tokens", amount: 1_000 })];
    const proxy = house.start("a");
    await inquire(house, proxy, limits);
    const asked = () => proxy.reports.flatMap(({ leases }) => leases).length;
    const before = asked();
    await inquire(house, proxy, limits);
    expect(asked()).toBe(before);
    await house.clock.advance(1_000);
    await inquire(house, proxy, limits);
    expect(asked()).toBe(before + 1);
  });

  it("gives up soon where the ledger is out of reach, and says so", async () => {
    const house = new HouseFixture();
    const limits = [house.bind({ unit: "tokens", amount: 1_000 })];
    const proxy = house.start("a");
    proxy.disconnect();
    const state = await inquire(house, proxy, limits);
    expect(state).toMatchObject({ known: false, ceiling: 1_000 });
  });
});
