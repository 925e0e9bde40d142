import { describe, expect, it } from "vitest";
import {
  createBoundedAsk,
  createLimitedLeg,
  HouseFixture,
} from "../../test/support/quota-house.ts";
import { createTestTarget } from "../../test/support/targets.ts";
import type { BoundLimit } from "../mesh/limit.ts";
import type { RateStates } from "../mesh/quota.ts";

/** Nobody waits longer for the ledger. */
const REFUSED_MS = 5_000;
const HOUR_MS = 3_600_000;

/** What a call is told after it has reserved, or was refused. */
async function ratesOf(
  house: HouseFixture,
  limits: readonly BoundLimit[],
): Promise<RateStates | undefined> {
  const proxy = house.proxies[0] ?? house.start("a");
  const call = proxy.quota.begin(house.call(), createBoundedAsk(36));
  const leg = createLimitedLeg(limits);
  const taking = (async () => call.reserve(leg, leg.targets[0] ?? createTestTarget()))();
  const settled = taking.then(
    (reservation) => reservation.settle(undefined, undefined),
    () => {},
  );
  await house.clock.advance(REFUSED_MS);
  await settled;
  call.end();
  return call.rates?.();
}

describe("the rates of a call", () => {
  it("are none where only budgets concern it", async () => {
    const house = new HouseFixture();
    expect(await ratesOf(house, [house.bind({ unit: "tokens" })])).toBeUndefined();
  });

  it("count it, also when it is over", async () => {
    const house = new HouseFixture();
    const limits = [house.bind({ kind: "rate", unit: "requests", amount: 60, periodMs: HOUR_MS })];
    const rates = await ratesOf(house, limits);
    expect(rates?.tokens).toBeUndefined();
    const { limit, remaining = 0, resetMs } = rates?.requests ?? {};
    expect(limit).toBe(60);
    // What lies here and what lies with the ledger are rounded down each.
    expect(remaining).toBeGreaterThanOrEqual(58);
    expect(remaining).toBeLessThanOrEqual(59);
    expect(resetMs).toBe((60 - remaining) * 60_000);
  });

  it("are the tightest of requests and of tokens, whoever refuses", async () => {
    const house = new HouseFixture();
    const bind = (policy: string, unit: "requests" | "tokens" | "input_tokens", amount: number) =>
      house.bind({ policy: `policies/${policy}`, kind: "rate", unit, amount, periodMs: HOUR_MS });
    const limits = [
      bind("a", "requests", 100),
      bind("b", "requests", 2),
      bind("c", "tokens", 1000),
      bind("d", "input_tokens", 900),
    ];
    await ratesOf(house, limits);
    await ratesOf(house, limits);
    const refused = await ratesOf(house, limits);
    expect(refused?.requests).toMatchObject({ limit: 2, remaining: 0 });
    expect(refused?.tokens?.limit).toBe(1000);
  });

  it("never tell of more than the limit, nor of limits that only audit", async () => {
    const house = new HouseFixture();
    const wide = house.bind({ kind: "rate", unit: "requests", amount: 5, burst: 50 });
    expect((await ratesOf(house, [wide]))?.requests).toMatchObject({ limit: 5, remaining: 5 });
    const audit = house.bind({
      policy: "policies/audit",
      kind: "rate",
      unit: "tokens",
      amount: 9,
      audit: true,
    });
    expect(await ratesOf(house, [audit])).toBeUndefined();
  });
});
