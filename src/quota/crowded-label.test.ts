import { describe, expect, it } from "vitest";
import { LeaseGrant_Refusal } from "../../gen/weir/link/v1/link_service_pb.ts";
import { HouseFixture, reserveOnce } from "../../test/support/quota-house.ts";

describe("a limit that has as many pots as it may have", () => {
  for (const allowUnproven of [false, true]) {
    const title = allowUnproven ? "also where it lets pass what nobody can prove" : "and says why";
    it(`refuses a further one, ${title}`, async () => {
      const house = new HouseFixture();
      const per = { kind: "label" as const, label: "case" };
      const bound = house.bind({ unit: "requests", per, allowUnproven }, "case=new");
      const answer = house.ledger.answer.bind(house.ledger);
      house.ledger.answer = (...given) => {
        const reply = answer(...given);
        for (const lease of reply.leases) {
          lease.refusal = LeaseGrant_Refusal.FULL;
          lease.granted = 0n;
          lease.windowStartMs = -1n;
          lease.remaining = 0n;
        }
        return reply;
      };
      const proxy = house.start("a");
      const taking = new Promise((resolve) => {
        resolve(reserveOnce(proxy, house.call(), [bound]));
      });
      const outcome = Promise.allSettled([taking]);
      await house.clock.advance(5_000);
      expect(await outcome).toMatchObject([
        {
          reason: {
            reason: "BUDGET_EXHAUSTED",
            message: expect.stringContaining("takes no further ones such as case=new"),
            details: {
              retryAfterMs: 3_600_000,
              metadata: { scope: "case=new", remaining: "0" },
            },
          },
        },
      ]);
      // What was refused is forgotten: it fills no memory, and nobody asks for it any more.
      await house.clock.advance(200_000);
      const before = proxy.reports.length;
      await house.clock.advance(30_000);
      const later = proxy.reports.slice(before).flatMap(({ leases }) => leases);
      expect(later).toEqual([]);
    });
  }
});
