import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { QuotaReplySchema, type QuotaReport } from "../../gen/weir/link/v1/link_service_pb.ts";
import { createTestLimit, WatermarksFixture } from "../../test/support/quota-house.ts";
import { type BoundLimit, bindLimit } from "../mesh/limit.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createQuota } from "./quota.ts";

describe("a ledger that has lost what it had committed", () => {
  it("is told once of every lease, also of those that rest", async () => {
    const clock = new VirtualClock();
    const room = createQuota({ clock, watermarks: new WatermarksFixture() });
    const sent: QuotaReport[] = [];
    room.connected((report) => sent.push(report));
    const bind = (policy: string) => bindLimit(createTestLimit({ policy, unit: "tokens" }), "");
    const [first, second, third] = [bind("policies/a"), bind("policies/b"), bind("policies/c")];
    const { bucket } = first;
    const lease = { bucket, windowStartMs: 0n, windowEndsInMs: -1n, granted: 500n };

    await inquire(first);
    answer({ leases: [lease] });
    expect(await inquire(second)).toEqual([second.bucket]);
    answer({ suspended: true });
    await clock.advance(10);
    expect(sent.at(-1)?.leases.find((each) => each.bucket === bucket)?.granted).toBe(500n);
    answer({ suspended: true });
    expect(await inquire(third)).toEqual([third.bucket]);

    function answer(reply: { suspended?: boolean; leases?: (typeof lease)[] }): void {
      room.reply(create(QuotaReplySchema, { ...reply, sequence: sent.at(-1)?.sequence ?? 0n }));
    }

    /** The buckets that the report names which asks what is left of one. */
    async function inquire(bound: BoundLimit): Promise<readonly string[] | undefined> {
      room.states([bound]);
      await clock.advance(10);
      return sent.at(-1)?.leases.map((each) => each.bucket);
    }
  });
});
