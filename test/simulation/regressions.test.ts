import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { QuotaReplySchema, type QuotaReport } from "../../gen/weir/link/v1/link_service_pb.ts";
import { VirtualClock } from "../../src/mesh/virtual-clock.ts";
import { createQuota } from "../../src/quota/quota.ts";
import { VirtualDisk } from "./virtual-disk.ts";

const HOOKS = { beforeWrite: () => undefined, afterWrite: () => undefined, isDead: () => false };

function createRoom() {
  const clock = new VirtualClock();
  const { watermarks } = new VirtualDisk().begin(HOOKS);
  const room = createQuota({ clock, watermarks });
  const sent: QuotaReport[] = [];
  const connect = () => room.connected((report) => sent.push(report));
  return { clock, room, sent, connect };
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
});
