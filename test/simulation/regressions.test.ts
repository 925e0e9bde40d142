import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  LeaseGrantSchema,
  QuotaReplySchema,
  type QuotaReport,
} from "../../gen/weir/link/v1/link_service_pb.ts";
import { compileLimit } from "../../src/mesh/compile-limit.ts";
import { bindLimit } from "../../src/mesh/limit.ts";
import { VirtualClock } from "../../src/mesh/virtual-clock.ts";
import { createQuota } from "../../src/quota/quota.ts";
import { createTestCall } from "../support/calls.ts";
import { createTestLeg } from "../support/targets.ts";
import { Chance } from "./chance.ts";
import { createPots } from "./pots.ts";
import { createAsk, createExactQuestion } from "./vendor.ts";
import { VirtualDisk } from "./virtual-disk.ts";

const HOOKS = { beforeWrite: () => undefined, afterWrite: () => undefined, isDead: () => false };

function createRoom() {
  const clock = new VirtualClock();
  const { watermarks } = new VirtualDisk().begin(HOOKS);
  const room = createQuota({ clock, watermarks });
  const policy = createPots(new Chance(1))[0]?.policy;
  const compiled = policy && compileLimit(policy);
  if (compiled === undefined) throw new Error("the first pot is a budget");
  const limit = { ...compiled, audit: false, allowUnproven: false };
  const sent: QuotaReport[] = [];
  const connect = () => room.connected((report) => sent.push(report));
  const ask = () => {
    const question = createExactQuestion("nano_usd", 1_000);
    const call = room.begin(createTestCall(clock), createAsk(question));
    const leg = createTestLeg([question.target], { limits: [bindLimit(limit, "")] });
    return Promise.resolve()
      .then(() => call.reserve(leg, question.target))
      .then(
        () => "taken",
        () => "refused",
      );
  };
  return { clock, room, sent, connect, ask };
}

describe("what simulated worlds have found", () => {
  it("reports again when a report fell due while there was no connection", async () => {
    const { clock, room, sent, connect } = createRoom();
    connect();
    await clock.advance(10);
    room.reply(create(QuotaReplySchema, { sequence: sent.at(-1)?.sequence ?? 0n }));
    room.disconnected();
    await clock.advance(60_000);
    const before = sent.length;
    connect();
    await clock.advance(10);
    expect(sent.length).toBe(before + 1);
  });

  it("takes up a grant that comes when nobody has asked for long", async () => {
    const { clock, room, sent, connect, ask } = createRoom();
    connect();
    await clock.advance(10);
    room.reply(create(QuotaReplySchema, { sequence: sent.at(-1)?.sequence ?? 0n }));
    const asked = ask();
    // Sent again and again, unanswered, long after the request gave up.
    await clock.advance(60_000);
    expect(await asked).toBe("refused");
    const lease = sent.at(-1)?.leases[0];
    if (lease === undefined) throw new Error("nothing was asked for");
    const { bucket } = lease;
    const grant = create(LeaseGrantSchema, {
      bucket,
      windowStartMs: 0n,
      windowEndsInMs: -1n,
      granted: 8_000n,
    });
    room.reply(
      create(QuotaReplySchema, { sequence: sent.at(-1)?.sequence ?? 0n, leases: [grant] }),
    );
    room.recall({ $typeName: "weir.link.v1.QuotaRecall", buckets: [bucket] });
    await clock.advance(1_000);
    // What it has to give back goes with the report after the one that is under way.
    room.reply(create(QuotaReplySchema, { sequence: sent.at(-1)?.sequence ?? 0n }));
    await clock.advance(1_000);
    const returned = sent.flatMap(({ leases }) => leases.map((each) => each.returned));
    expect(returned).toContain(8_000n);
  });
});
