import { describe, expect, it } from "vitest";
import { HouseFixture, type ProxyFixture, reserveOnce } from "../../test/support/quota-house.ts";
import { MeshError } from "../mesh/errors.ts";
import type { BoundLimit } from "../mesh/limit.ts";
import { createUsage } from "../mesh/usage.ts";

const used = createUsage({ inputTokens: 5, outputTokens: 5 });

/** A proxy that holds a lease, and whose next start has reported already. */
async function supersede(fields: Parameters<HouseFixture["bind"]>[0] = {}) {
  const house = new HouseFixture();
  const limits = [house.bind(fields)];
  const proxy = house.start("a", 1);
  await admit(house, proxy, limits);
  const next = house.start("a", 2);
  await house.clock.advance(30_000);
  return { house, proxy, next, limits };
}

async function admit(house: HouseFixture, proxy: ProxyFixture, limits: readonly BoundLimit[]) {
  const taking = Promise.allSettled([reserveOnce(proxy, house.call(), limits)]);
  await house.clock.advance(2_000);
  const [outcome] = await taking;
  if (outcome?.status !== "fulfilled") throw outcome?.reason;
  outcome.value.settle(used, undefined);
  return outcome.value;
}

function refusalOf(run: () => unknown): MeshError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof MeshError) return thrown;
    throw thrown;
  }
  throw new Error("It was admitted.");
}

describe("a start that the ledger takes no report of any more", () => {
  it("admits nothing that is limited, whatever it holds, and says who must do what", async () => {
    const { house, proxy, limits } = await supersede();
    const refusal = refusalOf(() => reserveOnce(proxy, house.call(), limits));
    expect(refusal.reason).toBe("QUOTA_UNAVAILABLE");
    expect(refusal.message).toContain("start it again");
    expect(proxy.quota.fault()).toContain("Start this proxy again");
  });

  it("stays so after the link was down, and sends nothing more", async () => {
    const { house, proxy, limits } = await supersede();
    proxy.disconnect();
    const sent = proxy.reports.length;
    proxy.connect();
    await house.clock.advance(30_000);
    expect(proxy.reports).toHaveLength(sent);
    expect(refusalOf(() => reserveOnce(proxy, house.call(), limits)).reason).toBe(
      "QUOTA_UNAVAILABLE",
    );
  });

  it("lets pass what may be unproven", async () => {
    const { house, proxy, limits } = await supersede({ allowUnproven: true });
    const taken = await admit(house, proxy, limits);
    expect(taken.unprovenBy).toEqual(["policies/p"]);
  });

  it("stops at once", async () => {
    const { house, proxy } = await supersede();
    let closed = false;
    void proxy.quota.close().then(() => {
      closed = true;
    });
    await house.clock.advance(1);
    expect(closed).toBe(true);
  });

  it("is of no concern to the next one", async () => {
    const { house, next, limits } = await supersede();
    await admit(house, next, limits);
    expect(next.quota.fault()).toBeUndefined();
  });
});

describe("what another proxy of the machine has left", () => {
  it("is confessed under its name, and forgotten when the ledger has it", async () => {
    const house = new HouseFixture();
    const proxy = house.start("a", 2);
    proxy.disconnect();
    const marks = [{ bucket: "policies/p|requests:lifetime|", windowStartMs: 0, usedMax: 3 }];
    proxy.watermarks.left = [
      { epoch: 1, trusted: true, marks: [] },
      { proxyId: "b", epoch: 1, trusted: false, marks },
    ];
    const forgotten: [readonly number[], string | undefined][] = [];
    proxy.watermarks.forget = (...which) => {
      forgotten.push([which[0], which[1]]);
    };
    proxy.connect();
    await house.clock.advance(1_000);
    const confessions = proxy.reports.flatMap((report) => report.confessions);
    expect(confessions.at(-1)).toMatchObject({
      proxyId: "b",
      epoch: 1n,
      trusted: false,
      leases: [{ usedMax: 3n }],
    });
    expect(confessions.map(({ proxyId }) => proxyId).slice(-2)).toEqual(["", "b"]);
    expect(forgotten).toEqual([
      [[1], undefined],
      [[1], "b"],
    ]);
  });
});
