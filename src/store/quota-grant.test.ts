import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideGrant, type GrantQuestion } from "./quota-grant.ts";
import {
  decideRateGrant,
  isIndivisible,
  msUntilFilled,
  type RateQuestion,
  refillLevel,
} from "./quota-rate-grant.ts";
import { MICRO, WHOLE_RATE } from "./quota-report.ts";

const anyAmount = fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 2 ** 50 }));

const anyQuestion: fc.Arbitrary<GrantQuestion> = fc.record({
  ceiling: anyAmount,
  used: anyAmount,
  reserved: fc.oneof(fc.constant(0), anyAmount),
  debt: fc.oneof(fc.constant(0), anyAmount),
  need: fc.oneof(fc.constant(0), anyAmount),
  want: anyAmount,
  scarce: fc.boolean(),
  proxies: fc.integer({ min: 1, max: 50 }),
});

describe("decideGrant", () => {
  const usual: GrantQuestion = {
    ceiling: 1000,
    used: 0,
    reserved: 0,
    debt: 0,
    need: 0,
    want: 0,
    scarce: false,
    proxies: 1,
  };

  it("never lets what is used pass the ceiling", () => {
    fc.assert(
      fc.property(anyQuestion, (question) => {
        const granted = decideGrant(question);
        expect(Number.isSafeInteger(granted) && granted >= 0).toBe(true);
        const cost = Math.max(0, granted - question.debt);
        if (cost > 0) expect(question.used + cost).toBeLessThanOrEqual(question.ceiling);
      }),
    );
  });

  it("grants a need whenever it fits, and never a part of it", () => {
    fc.assert(
      fc.property(anyQuestion, (question) => {
        const { ceiling, used, reserved, debt, need } = question;
        fc.pre(need > 0);
        const fits = ceiling - used - reserved + debt >= need;
        expect(decideGrant(question) >= need).toBe(fits);
        if (!fits) expect(decideGrant(question)).toBe(0);
      }),
    );
  });

  it("gives one that wishes at most its part, so that nobody takes everything", () => {
    expect(decideGrant({ ...usual, want: 9999 })).toBe(500);
    expect(decideGrant({ ...usual, want: 9999, proxies: 5 })).toBe(100);
    expect(decideGrant({ ...usual, want: 20, proxies: 5 })).toBe(20);
  });

  it("gives no more than is needed while it is scarce", () => {
    expect(decideGrant({ ...usual, want: 9999, need: 10, scarce: true })).toBe(10);
    expect(decideGrant({ ...usual, want: 9999, scarce: true })).toBe(0);
  });

  it("leaves what somebody else collects", () => {
    expect(decideGrant({ ...usual, need: 400, reserved: 601 })).toBe(0);
    expect(decideGrant({ ...usual, need: 400, reserved: 600 })).toBe(400);
  });

  it("grants nothing of what is overdrawn", () => {
    expect(decideGrant({ ...usual, used: 1200, need: 1, want: 50 })).toBe(0);
  });
});

const anyRate = fc.record({
  amount: fc.integer({ min: 0, max: 9_000_000_000 }),
  periodMs: fc.integer({ min: 1, max: 86_400_000 }),
  burst: fc.integer({ min: 0, max: 9_000_000_000 }),
});

const anyRateQuestion: fc.Arbitrary<RateQuestion> = fc
  .record({
    rate: anyRate,
    share: fc.integer({ min: 0, max: WHOLE_RATE }),
    fill: fc.double({ min: 0, max: 1, noNaN: true }),
    held: fc.integer({ min: 0, max: WHOLE_RATE }),
    need: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 9_000_000_000_000_000 })),
    want: fc.integer({ min: 0, max: 2 * WHOLE_RATE }),
    scarce: fc.boolean(),
    proxies: fc.integer({ min: 1, max: 50 }),
  })
  .map(({ rate, share, fill, ...rest }) => ({
    ...rate,
    ...rest,
    share,
    level: Math.floor(share * rate.burst * fill),
  }));

describe("decideRateGrant", () => {
  it("lends no more than there is, of the share and of its level", () => {
    fc.assert(
      fc.property(anyRateQuestion, (question) => {
        const { share, level } = decideRateGrant(question);
        expect(Number.isSafeInteger(share) && share >= 0 && share <= question.share).toBe(true);
        expect(Number.isSafeInteger(level) && level >= 0).toBe(true);
        expect(level).toBeLessThanOrEqual(question.level);
        if (share === 0) expect(level).toBe(0);
      }),
    );
  });

  it("grants a need with the level that it takes, or nothing", () => {
    fc.assert(
      fc.property(anyRateQuestion, (question) => {
        fc.pre(question.need > 0);
        const { level, share } = decideRateGrant(question);
        const fits = question.share > 0 && question.level >= question.need;
        expect(share > 0).toBe(fits);
        if (fits) expect(level).toBeGreaterThanOrEqual(question.need);
      }),
    );
  });

  it("lends an indivisible rate whole or not at all", () => {
    fc.assert(
      fc.property(anyRateQuestion, (question) => {
        fc.pre(isIndivisible(question, question.proxies));
        expect([0, question.share]).toContain(decideRateGrant(question).share);
      }),
    );
  });
});

describe("refillLevel", () => {
  it("fills no further than the share's part of the burst, and never runs backwards", () => {
    fc.assert(
      fc.property(
        anyRate,
        fc.integer({ min: 0, max: WHOLE_RATE }),
        fc.integer({ min: -100_000, max: 86_400_000_000 }),
        (rate, share, elapsedMs) => {
          const level = refillLevel(rate, { level: 0, share }, elapsedMs);
          expect(level).toBeGreaterThanOrEqual(0);
          expect(level).toBeLessThanOrEqual(share * rate.burst);
          if (elapsedMs <= 0) expect(level).toBe(0);
        },
      ),
    );
  });

  it("fills by the share's part of the rate", () => {
    const rate = { amount: 60, periodMs: 60_000, burst: 60 };
    expect(refillLevel(rate, { level: 0, share: WHOLE_RATE / 2 }, 10_000)).toBe(5 * MICRO);
  });
});

describe("msUntilFilled", () => {
  it("names a time at which the need is there, and no millisecond later than it must", () => {
    fc.assert(
      fc.property(
        anyRate,
        fc.integer({ min: 1, max: WHOLE_RATE }),
        fc.integer({ min: 1, max: 1_000_000 }),
        (rate, share, units) => {
          const need = units * MICRO;
          fc.pre(rate.amount > 0 && need <= share * rate.burst);
          const ms = msUntilFilled(rate, { level: 0, share }, need);
          expect(refillLevel(rate, { level: 0, share }, ms + 1)).toBeGreaterThanOrEqual(need);
          const before = refillLevel(rate, { level: 0, share }, ms - 2);
          expect(before).toBeLessThanOrEqual(need);
        },
      ),
    );
  });

  it("is 0 where the need never will be there", () => {
    const rate = { amount: 60, periodMs: 60_000, burst: 60 };
    expect(msUntilFilled(rate, { level: 0, share: WHOLE_RATE }, 61 * MICRO)).toBe(0);
    expect(msUntilFilled({ ...rate, amount: 0 }, { level: 0, share: WHOLE_RATE }, 1)).toBe(0);
  });
});
