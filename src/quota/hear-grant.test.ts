import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  type LeaseGrant,
  LeaseGrant_Refusal,
  LeaseGrantSchema,
  LeaseReportSchema,
} from "../../gen/weir/link/v1/link_service_pb.ts";
import { createTestLimit, HouseFixture, reserveOnce } from "../../test/support/quota-house.ts";
import { bindLimit, type Limit } from "../mesh/limit.ts";
import { type Heard, hearGrant, yieldLease } from "./hear-grant.ts";
import { Pot } from "./pot.ts";
import type { SentLease } from "./report-lease.ts";

function createPot(fields: Partial<Limit>): Pot {
  return new Pot(bindLimit(createTestLimit(fields), ""), 0);
}

function createGrant(fields: MessageInitShape<typeof LeaseGrantSchema>): LeaseGrant {
  return create(LeaseGrantSchema, { windowEndsInMs: -1n, ...fields });
}

function createHeard(nowMs: number, sent?: SentLease): Heard {
  return { nowMs, sentAtMs: nowMs, sent };
}

describe("a rate whose policy was gone for a while", () => {
  it("comes back with the level that was granted since, not with all there ever was", () => {
    const pot = createPot({ kind: "rate", unit: "requests", amount: 7, periodMs: 10_000 });
    const granted = { granted: 1_000_000n, levelGranted: 7_000_000n };
    hearGrant(pot, createGrant(granted), createHeard(0));
    const old = pot.current;
    old.reserve(7, 0);
    const gone = { ...granted, windowEndsInMs: 0n, refusal: LeaseGrant_Refusal.GONE };
    hearGrant(pot, createGrant({ ...gone, recalled: true }), createHeard(0));
    yieldLease(old, 0);
    hearGrant(pot, createGrant({ ...gone, returned: 1_000_000n }), createHeard(0));
    old.dirty = false;
    expect(pot.sweep()).toEqual([old]);
    const again = { granted: 2_000_000n, returned: 1_000_000n, levelGranted: 7_400_000n };
    hearGrant(pot, createGrant(again), createHeard(0));
    expect(pot.current.rate?.share).toBe(1_000_000);
    expect(pot.current.rate?.levelAt(0)).toBe(400_000);
  });
});

describe("a recall that overtakes a grant", () => {
  it("has given back what nobody waits for any more", () => {
    const pot = createPot({ unit: "tokens" });
    const { current } = pot;
    current.recalledUntilMs = 10_000;
    const lease = create(LeaseReportSchema, { windowStartMs: -1n });
    const sent = { pot, account: current, lease, need: 500, alone: true };
    const grant = createGrant({ granted: 500n });
    expect(hearGrant(pot, grant, createHeard(5_000, sent))).toBe(current);
  });

  it("leaves what somebody waits for", async () => {
    const house = new HouseFixture();
    const bound = house.bind({ unit: "tokens" });
    const proxy = house.start("a");
    const taking = reserveOnce(proxy, house.call(), [bound]);
    proxy.quota.recall({ $typeName: "weir.link.v1.QuotaRecall", buckets: [bound.bucket] });
    await house.clock.advance(100);
    await expect(taking).resolves.toBeDefined();
  });
});
