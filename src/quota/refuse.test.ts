import { describe, expect, it } from "vitest";
import {
  createBoundedAsk,
  createLimitedLeg,
  HouseFixture,
  type ProxyFixture,
  reserveOnce,
} from "../../test/support/quota-house.ts";
import { createTestTarget } from "../../test/support/targets.ts";
import type { AskBounds } from "../mesh/ask.ts";
import { MeshError } from "../mesh/errors.ts";
import type { BoundLimit, Limit } from "../mesh/limit.ts";
import type { Reservation } from "../mesh/quota.ts";
import { createUsage } from "../mesh/usage.ts";

/** The error of an attempt, at most this much later. */
async function refusalOf(
  house: HouseFixture,
  attempt: () => Reservation | Promise<Reservation>,
  waitMs = 2_000,
): Promise<MeshError> {
  try {
    const taking = attempt();
    const settled = Promise.allSettled([taking]);
    await house.clock.advance(waitMs);
    const [outcome] = await settled;
    if (outcome?.status === "rejected" && outcome.reason instanceof MeshError) {
      return outcome.reason;
    }
  } catch (thrown) {
    if (thrown instanceof MeshError) return thrown;
    throw thrown;
  }
  throw new Error("It was admitted.");
}

async function admit(
  house: HouseFixture,
  taking: Reservation | Promise<Reservation>,
): Promise<Reservation> {
  const settled = Promise.resolve(taking);
  await house.clock.advance(2_000);
  return settled;
}

function setUp(fields: Partial<Limit>): {
  house: HouseFixture;
  proxy: ProxyFixture;
  limits: BoundLimit[];
} {
  const house = new HouseFixture();
  const limits = [house.bind(fields)];
  return { house, proxy: house.start("a"), limits };
}

describe("a refusal by the ledger", () => {
  it("names the policy, whose it is, what was needed and what is left", async () => {
    const { house, proxy } = setUp({});
    const bound = house.bind({ amount: 50_000, downgradeTo: "cheap" }, "teams/a", 86_400_000);
    const error = await refusalOf(house, () => reserveOnce(proxy, house.call(), [bound]));
    expect(error.reason).toBe("BUDGET_EXHAUSTED");
    expect(error.details.metadata).toEqual({
      policy: "policies/p",
      scope: "teams/a",
      dimension: "nano_usd",
      limit: "50000",
      remaining: "50000",
      resets_at: "2026-01-02T00:00:00.000Z",
      downgrade_to: "cheap",
    });
    expect(error.message).toContain("$0.000200002");
    expect(error.message).toContain("$0.00005 of $0.00005");
    expect(error.details.retryAfterMs).toBeGreaterThan(86_000_000);
  });

  it("is believed for half a second, without asking again", async () => {
    const { house, proxy, limits } = setUp({ unit: "tokens", amount: 10 });
    await refusalOf(house, () => reserveOnce(proxy, house.call(), limits), 100);
    const { length } = proxy.reports;
    for (let i = 0; i < 50; i++) {
      expect(() => reserveOnce(proxy, house.call(), limits)).toThrow("does not have enough");
    }
    expect(proxy.reports).toHaveLength(length);
    await house.clock.advance(600);
    expect(reserveOnce(proxy, house.call(), limits)).toBeInstanceOf(Promise);
  });

  it("is for an operator when the ledger suspends itself", async () => {
    const { house, proxy, limits } = setUp({});
    house.ledger.suspended = true;
    const error = await refusalOf(house, () => reserveOnce(proxy, house.call(), limits));
    expect(error.reason).toBe("QUOTA_UNAVAILABLE");
    expect(error.message).toContain("operator");
  });

  it("is for a moment when the limit is changing", async () => {
    const { house, proxy, limits } = setUp({});
    house.ledger.close(limits[0]?.bucket ?? "");
    const error = await refusalOf(house, () => reserveOnce(proxy, house.call(), limits));
    expect(error.reason).toBe("QUOTA_UNAVAILABLE");
    expect(error.details.retryAfterMs).toBe(1_000);
  });
});

describe("when nobody can prove that anything is left", () => {
  it("refuses at once while the link is down, and serves what is leased", async () => {
    const { house, proxy, limits } = setUp({ unit: "tokens", amount: 100_000 });
    (await admit(house, reserveOnce(proxy, house.call(), limits))).release();
    proxy.disconnect();
    const taken: Reservation[] = [];
    for (;;) {
      try {
        const one = reserveOnce(proxy, house.call(), limits);
        expect(one).not.toBeInstanceOf(Promise);
        taken.push(await one);
      } catch (thrown) {
        expect(thrown).toMatchObject({ reason: "QUOTA_UNAVAILABLE" });
        break;
      }
    }
    expect(taken.length).toBeGreaterThanOrEqual(8);
  });

  it("refuses after two seconds without an answer", async () => {
    const house = new HouseFixture();
    const limits = [house.bind({})];
    const proxy = house.start("a", 1, { options: { refillWaitMs: 250 } });
    proxy.copies = () => 0;
    const attempt = () => reserveOnce(proxy, house.call(), limits);
    const error = await refusalOf(house, attempt, 2_000);
    expect(error.reason).toBe("QUOTA_UNAVAILABLE");
  });

  it("refuses at once when the ledger says that it cannot answer, and asks it again", async () => {
    const { house, proxy, limits } = setUp({});
    proxy.unavailable = "the store is down";
    const attempt = () => reserveOnce(proxy, house.call(), limits);
    expect((await refusalOf(house, attempt, 20)).reason).toBe("QUOTA_UNAVAILABLE");
    proxy.unavailable = "";
    await house.clock.advance(3_000);
    await admit(house, reserveOnce(proxy, house.call(), limits));
    const sent = proxy.reports.map(({ sequence }) => sequence);
    expect(sent[0]).toBe(1n);
    expect(sent[1]).toBe(1n);
  });

  it("admits where the policy says so, marks it, and books it once it can", async () => {
    const { house, proxy, limits } = setUp({ unit: "tokens", amount: 500, allowUnproven: true });
    proxy.disconnect();
    const one = await reserveOnce(proxy, house.call(), limits);
    expect(one.unprovenBy).toEqual(["policies/p"]);
    one.settle(createUsage({ outputTokens: 150 }), undefined);
    expect(proxy.quota.counters.unproven).toBe(1);
    expect(proxy.quota.invariant()).toBe(0);
    proxy.connect();
    (await admit(house, reserveOnce(proxy, house.call(), limits))).release();
    await house.clock.advance(2_000);
    expect(house.ledger.spent(limits[0]?.bucket ?? "")).toBe(150);
    expect(proxy.quota.invariant()).toBe(0);
  });

  it("does not admit what the ledger has refused, whatever the policy allows", async () => {
    const { house, proxy, limits } = setUp({ unit: "tokens", amount: 10, allowUnproven: true });
    const error = await refusalOf(house, () => reserveOnce(proxy, house.call(), limits));
    expect(error.reason).toBe("BUDGET_EXHAUSTED");
  });

  it("refuses, debiting nothing, while the disk takes no watermark", async () => {
    const { house, proxy, limits } = setUp({ unit: "tokens", amount: 100_000 });
    proxy.watermarks.fault = new Error("ENOSPC");
    const error = await refusalOf(house, () => reserveOnce(proxy, house.call(), limits));
    expect(error.reason).toBe("QUOTA_UNAVAILABLE");
    expect(error.message).toContain("disk");
    expect(proxy.quota.invariant()).toBe(0);
    proxy.watermarks.fault = undefined;
    await admit(house, reserveOnce(proxy, house.call(), limits));
  });

  it("refuses what is priced while records cannot be kept", async () => {
    const house = new HouseFixture();
    const money = [house.bind({})];
    const speed = [house.bind({ unit: "requests", kind: "rate", amount: 60 })];
    const proxy = house.start("a", 1, { journalFault: () => "disk full" });
    const error = await refusalOf(house, () => reserveOnce(proxy, house.call(), money));
    expect(error.reason).toBe("QUOTA_UNAVAILABLE");
    await admit(house, reserveOnce(proxy, house.call(), speed));
  });
});

describe("an audit limit", () => {
  it("names itself and lets pass", async () => {
    const { house, proxy, limits } = setUp({ unit: "tokens", amount: 10, audit: true });
    const call = house.call();
    (await admit(house, reserveOnce(proxy, call, limits))).settle(undefined, undefined);
    expect(call.trail.auditDeniedBy).toEqual(["policies/p"]);
    await house.clock.advance(2_000);
    expect(house.ledger.spent(limits[0]?.bucket ?? "")).toBe(0);
  });

  it("counts what fits", async () => {
    const { house, proxy, limits } = setUp({ unit: "tokens", amount: 1_000, audit: true });
    const call = house.call();
    (await admit(house, reserveOnce(proxy, call, limits))).settle(undefined, undefined);
    expect(call.trail.auditDeniedBy).toEqual([]);
    await house.clock.advance(2_000);
    expect(house.ledger.spent(limits[0]?.bucket ?? "")).toBe(200);
  });

  it("accuses nobody when the ledger cannot be asked", async () => {
    const { house, proxy, limits } = setUp({ unit: "tokens", amount: 10, audit: true });
    proxy.disconnect();
    const call = house.call();
    expect(reserveOnce(proxy, call, limits)).not.toBeInstanceOf(Promise);
    expect(call.trail.auditDeniedBy).toEqual([]);
  });

  it("of money does not mind a price that nobody knows", async () => {
    const { house, proxy, limits } = setUp({ audit: true });
    const target = createTestTarget({ price: undefined });
    const leg = createLimitedLeg(limits, target);
    const taken = proxy.quota.begin(house.call(), createBoundedAsk(10)).reserve(leg, target);
    expect(taken).not.toBeInstanceOf(Promise);
  });
});

describe("a price that nobody knows", () => {
  it("refuses where money is counted", () => {
    const { house, proxy, limits } = setUp({});
    const target = createTestTarget({ price: undefined });
    const leg = createLimitedLeg(limits, target);
    const till = proxy.quota.begin(house.call(), createBoundedAsk(10));
    expect(() => till.reserve(leg, target)).toThrow("No price is known");
  });

  it("is the policy's own where it has one", async () => {
    const price = createTestTarget().price;
    const { house, proxy, limits } = setUp({ defaultPrice: price });
    const target = createTestTarget({ price: undefined });
    const leg = createLimitedLeg(limits, target);
    const till = proxy.quota.begin(house.call(), createBoundedAsk(10));
    const taken = await admit(house, till.reserve(leg, target));
    const unknown = {
      $typeName: "weir.v1.Cost",
      costNanoUsd: 0n,
      inputNanoUsd: 0n,
      outputNanoUsd: 0n,
      known: false,
    } as const;
    taken.settle(createUsage({ inputTokens: 3, outputTokens: 4 }), unknown);
    await house.clock.advance(2_000);
    expect(house.ledger.spent(limits[0]?.bucket ?? "")).toBe(7_000);
  });
});

describe("a limit that clamps", () => {
  const clamp = (amount: number) => setUp({ unit: "tokens", amount, clamp: true });
  const asking = (bounds: Partial<AskBounds>) => createBoundedAsk(36, bounds);

  it("shortens the answer to what is left", async () => {
    const { house, proxy, limits } = clamp(160);
    const taken = await admit(house, reserveOnce(proxy, house.call(), limits));
    expect(taken.outputTokensMax).toBe(60);
    expect(taken.clampedBy).toBe("policies/p");
    expect(proxy.quota.counters.clamped).toBe(1);
  });

  it("divides what is left by the number of answers", async () => {
    const { house, proxy, limits } = clamp(160);
    const ask = asking({ choices: 3 });
    const taken = await admit(house, reserveOnce(proxy, house.call(), limits, ask));
    expect(taken.outputTokensMax).toBe(20);
  });

  it("refuses when less than a short answer is left", async () => {
    const { house, proxy, limits } = clamp(115);
    const error = await refusalOf(house, () => reserveOnce(proxy, house.call(), limits));
    expect(error.reason).toBe("BUDGET_EXHAUSTED");
  });

  it("does not help where another limit does not clamp", async () => {
    const { house, proxy, limits } = clamp(160);
    const strict = house.bind({ policy: "policies/strict", unit: "tokens", amount: 150 });
    const both = [...limits, strict];
    const error = await refusalOf(house, () => reserveOnce(proxy, house.call(), both));
    expect(error.details.metadata?.policy).toBe("policies/strict");
  });
});
