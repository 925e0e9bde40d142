import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createBoundedAsk,
  createLimitedLeg,
  HouseFixture,
  type ProxyFixture,
} from "../../test/support/quota-house.ts";
import { createTestTarget } from "../../test/support/targets.ts";
import type { AskBounds } from "../mesh/ask.ts";
import type { BoundLimit, Limit } from "../mesh/limit.ts";
import type { Reservation } from "../mesh/quota.ts";
import { createUsage } from "../mesh/usage.ts";
import { LEAD_TOKENS, SLICE_TOKENS } from "./slices.ts";

const target = createTestTarget({ capabilities: new Set(["chat"]) });
const INPUT = 100;

function setUp(fields: Partial<Limit> = {}) {
  const house = new HouseFixture();
  const proxy = house.start("a");
  const bound = house.bind({ unit: "tokens", ...fields });
  return { house, proxy, bound, limits: [bound] };
}

interface Asked {
  readonly house: HouseFixture;
  readonly proxy: ProxyFixture;
  readonly limits: readonly BoundLimit[];
}

async function open(
  { house, proxy, limits }: Asked,
  bounds: Partial<AskBounds> = {},
): Promise<Reservation> {
  const ask = createBoundedAsk(36, { outputTokensMax: undefined, ...bounds });
  const quota = proxy.quota.begin(house.call(), ask);
  const taking = Promise.resolve(quota.reserve(createLimitedLeg(limits, target), target));
  await house.clock.advance(3_500);
  return taking;
}

/** As routing does: asks again when the ledger has been heard. */
async function cover(house: HouseFixture, taken: Reservation, most: number): Promise<boolean> {
  for (;;) {
    const covered = taken.cover?.(most);
    if (covered === undefined) throw new Error("nothing is sliced");
    if (typeof covered === "boolean") return covered;
    await house.clock.advance(50);
  }
}

/** What a bucket's lease has reserved here, as the ledger has heard. */
async function reserved({ house, bound, proxy }: Asked & { readonly bound: BoundLimit }) {
  await house.clock.advance(2_500);
  const last = proxy.reports.at(-1)?.leases.find(({ bucket }) => bucket === bound.bucket);
  return Number(last?.outstanding ?? 0);
}

describe("a long answer", () => {
  it("takes a slice, and more before what was produced can pass what is taken", async () => {
    const parts = setUp({ amount: 1_000_000 });
    const taken = await open(parts);
    expect(taken.outputTokensMax).toBe(32_768);
    expect(await reserved(parts)).toBe(INPUT + SLICE_TOKENS);
    expect(taken.cover?.(SLICE_TOKENS / 2)).toBe(true);
    expect(await reserved(parts)).toBe(INPUT + SLICE_TOKENS);
    expect(taken.cover?.(SLICE_TOKENS / 2 + 1)).toBe(true);
    expect(await reserved(parts)).toBe(INPUT + 2 * SLICE_TOKENS);
    expect(await cover(parts.house, taken, 30_000)).toBe(true);
    expect(await cover(parts.house, taken, 1_000_000)).toBe(true);
    expect(await reserved(parts)).toBe(INPUT + 32_768);
    taken.settle(createUsage({ inputTokens: 10, outputTokens: 20_000 }), undefined);
    expect(await reserved(parts)).toBe(0);
    expect(parts.house.ledger.spent(parts.bound.bucket)).toBe(20_010);
    expect(parts.proxy.quota.invariant()).toBe(0);
  });

  it("leaves a limit that only audits at what was taken of it, where that stepped aside", async () => {
    const parts = setUp({ amount: 1_000_000 });
    const fields = { policy: "policies/audit", unit: "tokens", audit: true } as const;
    const audited = parts.house.bind({ ...fields, amount: INPUT + 9_000 });
    const taken = await open({ ...parts, limits: [...parts.limits, audited] });
    expect(await cover(parts.house, taken, 20_000)).toBe(true);
    taken.settle(createUsage({ inputTokens: 10, outputTokens: 20_000 }), undefined);
    await parts.house.clock.advance(2_500);
    expect(parts.house.ledger.spent(parts.bound.bucket)).toBe(20_010);
    expect(parts.house.ledger.spent(audited.bucket)).toBe(INPUT + SLICE_TOKENS);
    expect(parts.proxy.quota.counters.overrun).toBe(0);
  });

  it("is cut where no more is to be had, and names the policy", async () => {
    const parts = setUp({ amount: INPUT + 9_000 });
    const taken = await open(parts);
    expect(await cover(parts.house, taken, 7_000)).toBe(true);
    expect(await cover(parts.house, taken, 9_000 - LEAD_TOKENS)).toBe(true);
    expect(await cover(parts.house, taken, 9_001 - LEAD_TOKENS)).toBe(false);
    expect(taken.clampedBy).toBe("policies/p");
    const { counters } = parts.proxy.quota;
    expect(counters).toMatchObject({ cut: 1, denied: {} });
    taken.settle(createUsage({ inputTokens: 90, outputTokens: 8_500 }), undefined);
    await parts.house.clock.advance(2_500);
    expect(parts.house.ledger.spent(parts.bound.bucket)).toBe(8_590);
    expect(counters.overrun).toBe(0);
    expect(counters.reserved).toBe(counters.settled + counters.released);
  });

  it("leaves room for others, as a whole reservation does not", async () => {
    const parts = setUp({ amount: 4 * (INPUT + SLICE_TOKENS) });
    const taken = await Promise.all([1, 2, 3, 4].map(() => open(parts)));
    expect(taken).toHaveLength(4);
    for (const each of taken) each.release();
    expect(await reserved(parts)).toBe(0);
    expect(parts.proxy.quota.invariant()).toBe(0);
  });

  it("counts for all of its answers", async () => {
    const parts = setUp({ amount: 1_000_000 });
    await open(parts, { choices: 3 });
    expect(await reserved(parts)).toBe(INPUT + 3 * SLICE_TOKENS);
  });

  it("counts an overrun once, over all pieces", async () => {
    const parts = setUp({ amount: 1_000_000 });
    const taken = await open(parts, { outputTokensMax: 20_000 });
    expect(await cover(parts.house, taken, 20_000)).toBe(true);
    taken.settle(createUsage({ inputTokens: INPUT, outputTokens: 20_007 }), undefined);
    expect(parts.proxy.quota.counters).toMatchObject({ overrun: 1, overrunTokens: 7 });
    await parts.house.clock.advance(2_500);
    expect(parts.house.ledger.spent(parts.bound.bucket)).toBe(20_107);
  });

  it("is charged all pieces when nobody has counted, and none when nothing was billed", async () => {
    const parts = setUp({ amount: 1_000_000 });
    const one = await open(parts);
    expect(await cover(parts.house, one, 5_000)).toBe(true);
    one.settle(undefined, undefined);
    const two = await open(parts);
    expect(await cover(parts.house, two, 5_000)).toBe(true);
    two.release();
    expect(await reserved(parts)).toBe(0);
    expect(parts.house.ledger.spent(parts.bound.bucket)).toBe(INPUT + 2 * SLICE_TOKENS);
  });

  it("gives a piece back that comes when it is over", async () => {
    const parts = setUp({ amount: 1_000_000 });
    const taken = await open(parts);
    const asked = taken.cover?.(32_768);
    taken.settle(createUsage({ inputTokens: 1, outputTokens: 1 }), undefined);
    await parts.house.clock.advance(100);
    await asked;
    expect(await reserved(parts)).toBe(0);
    expect(parts.proxy.quota.invariant()).toBe(0);
  });

  it("is shortened from the beginning where a budget does that and lacks the whole", async () => {
    const parts = setUp({ amount: 10_000, clamp: true });
    const taken = await open(parts);
    expect(taken.cover).toBeUndefined();
    expect(taken.outputTokensMax).toBe(10_000 - INPUT);
  });

  it("is taken whole where what is billed may not be seen", async () => {
    for (const capabilities of [undefined, new Set(["chat", "reasoning"])]) {
      const parts = setUp({ amount: 1_000_000 });
      const provider = { ...target.provider, dialect: "openai" as const };
      const other = createTestTarget({ capabilities, provider });
      const ask = createBoundedAsk(36, { outputTokensMax: undefined });
      const quota = parts.proxy.quota.begin(parts.house.call(), ask);
      const taking = quota.reserve(createLimitedLeg(parts.limits, other), other);
      await parts.house.clock.advance(1_000);
      expect((await taking).cover).toBeUndefined();
      expect(await reserved(parts)).toBe(INPUT + 32_768);
    }
  });

  it("has always more taken than can have been produced, whatever comes at once", async () => {
    const chunks = fc.array(fc.nat(12_000), { minLength: 1, maxLength: 12 });
    const amount = fc.integer({ min: INPUT + SLICE_TOKENS, max: 60_000 });
    await fc.assert(
      fc.asyncProperty(chunks, amount, fc.boolean(), async (sizes, ceiling, isMoney) => {
        const unit = isMoney ? "nano_usd" : "tokens";
        const each = isMoney ? 1_000 : 1;
        const parts = setUp({ unit, amount: ceiling * each + 100 });
        const taken = await open(parts);
        let passed = 0;
        for (const size of sizes) {
          if (!(await cover(parts.house, taken, passed + size))) break;
          passed += size;
          const most = Math.min(passed, 32_768);
          expect(await reserved(parts)).toBeGreaterThanOrEqual((INPUT + most) * each);
        }
        const outputTokens = Math.min(passed, 32_768);
        taken.settle(createUsage({ inputTokens: INPUT, outputTokens }), undefined);
        expect(await reserved(parts)).toBe(0);
        expect(parts.house.ledger.spent(parts.bound.bucket)).toBe((INPUT + outputTokens) * each);
        expect(parts.proxy.quota.counters.overrun).toBe(0);
        expect(parts.proxy.quota.invariant()).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});
