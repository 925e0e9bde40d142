import { describe, expect, it } from "vitest";
import { createBoundedAsk, HouseFixture, reserveOnce } from "../../test/support/quota-house.ts";
import { createTestTarget } from "../../test/support/targets.ts";
import type { LimitUnit } from "../mesh/limit.ts";
import { createUsage, noteInputCounted } from "../mesh/usage.ts";

/** What a bucket is charged for an attempt of at most 1,064 tokens in and 100 out. */
async function charge(
  usage: { inputTokens: number; outputTokens: number },
  { counted = false, unit = "tokens" as LimitUnit } = {},
): Promise<number> {
  const house = new HouseFixture();
  const proxy = house.start("p1");
  const bound = house.bind({ unit, amount: 1_000_000_000_000 });
  const reserving = reserveOnce(proxy, house.call(), [bound], createBoundedAsk(1_000));
  await house.clock.advance(100);
  const reservation = await reserving;
  const estimate = createUsage({ ...usage, estimated: true });
  if (counted) noteInputCounted(estimate);
  reservation.settle(estimate, undefined);
  expect(proxy.quota.counters.overrun).toBe(0);
  await house.clock.advance(5_000);
  return house.ledger.spent(bound.bucket);
}

describe("an answer that nobody has counted", () => {
  it("is charged its prompt's bound, and a token for each byte of what was seen", async () => {
    expect(await charge({ inputTokens: 250, outputTokens: 7 })).toBe(1_064 + 28);
  });

  it("is charged the prompt as the vendor has counted it", async () => {
    expect(await charge({ inputTokens: 250, outputTokens: 7 }, { counted: true })).toBe(250 + 28);
  });

  it("is never charged more than was taken", async () => {
    expect(await charge({ inputTokens: 250, outputTokens: 99 })).toBe(1_164);
  });

  it("is charged by the side that a limit counts", async () => {
    const usage = { inputTokens: 250, outputTokens: 7 };
    expect(await charge(usage, { unit: "output_tokens" })).toBe(28);
    expect(await charge(usage, { unit: "input_tokens" })).toBe(1_064);
  });

  it("is charged at the dearest price", async () => {
    const { price } = createTestTarget();
    const of = (tokens: number, side: bigint | undefined) =>
      Math.ceil((tokens * Number(side)) / 1_000_000) + 1;
    const most = of(1_064, price?.inputNanoUsdPerMillion) + of(28, price?.outputNanoUsdPerMillion);
    expect(await charge({ inputTokens: 250, outputTokens: 7 }, { unit: "nano_usd" })).toBe(most);
  });
});
