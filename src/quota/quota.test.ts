import { describe, expect, it } from "vitest";
import { createBoundedAsk, HouseFixture, reserveOnce } from "../../test/support/quota-house.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Reservation } from "../mesh/quota.ts";
import { createUsage } from "../mesh/usage.ts";

/** 36 bytes and 64 of overhead, and 100 of output: 200 tokens. */
const TOKENS = 200;

async function outcomesOf(
  attempts: readonly (Reservation | Promise<Reservation>)[],
): Promise<{ taken: Reservation[]; refused: MeshError[] }> {
  const settled = await Promise.allSettled(attempts);
  const taken: Reservation[] = [];
  const refused: MeshError[] = [];
  for (const each of settled) {
    if (each.status === "fulfilled") taken.push(each.value);
    else if (each.reason instanceof MeshError) refused.push(each.reason);
    else throw each.reason;
  }
  return { taken, refused };
}

describe("reserving", () => {
  it("waits for the first lease, and for none after it", async () => {
    const house = new HouseFixture();
    const limits = [house.bind({ unit: "tokens", amount: 1_000_000 })];
    const proxy = house.start("a");
    const first = reserveOnce(proxy, house.call(), limits);
    expect(first).toBeInstanceOf(Promise);
    await house.clock.advance(20);
    (await first).settle(createUsage({ inputTokens: 10, outputTokens: 20 }), undefined);
    const second = reserveOnce(proxy, house.call(), limits);
    expect(second).not.toBeInstanceOf(Promise);
    (await second).release();
    await house.clock.advance(2_000);
    expect(house.ledger.spent(limits[0]?.bucket ?? "")).toBe(30);
    expect(proxy.quota.invariant()).toBe(0);
  });

  it("admits exactly what fits of 200 at once", async () => {
    const house = new HouseFixture();
    const limits = [house.bind({ unit: "tokens", amount: 10 * TOKENS })];
    const proxy = house.start("a");
    const attempts = Array.from({ length: 200 }, () => reserveOnce(proxy, house.call(), limits));
    const outcome = outcomesOf(attempts);
    await house.clock.advance(2_000);
    const { taken, refused } = await outcome;
    expect(taken).toHaveLength(10);
    expect(refused).toHaveLength(190);
    for (const error of refused) expect(error.reason).toBe("BUDGET_EXHAUSTED");
    for (const each of taken) each.settle(undefined, undefined);
    await house.clock.advance(2_000);
    expect(house.ledger.spent(limits[0]?.bucket ?? "")).toBe(10 * TOKENS);
  });

  it("takes from none when one of them does not have it", async () => {
    const house = new HouseFixture();
    const wide = house.bind({ policy: "policies/wide", unit: "tokens", amount: 1_000_000 });
    const narrow = house.bind({ policy: "policies/narrow", unit: "tokens", amount: 10 });
    const proxy = house.start("a");
    const outcome = outcomesOf([reserveOnce(proxy, house.call(), [wide, narrow])]);
    await house.clock.advance(2_000);
    const { refused } = await outcome;
    expect(refused[0]?.details.metadata?.policy).toBe("policies/narrow");
    await house.clock.advance(1_000);
    expect(house.ledger.spent(wide.bucket)).toBe(0);
    expect(proxy.quota.invariant()).toBe(0);
    const taken = reserveOnce(proxy, house.call(), [wide], createBoundedAsk(1));
    expect(taken).not.toBeInstanceOf(Promise);
  });
});
