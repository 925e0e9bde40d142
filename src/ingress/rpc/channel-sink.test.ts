import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { DecisionSchema } from "../../../gen/weir/v1/chat_pb.ts";
import { Cancellation } from "../../mesh/cancellation.ts";
import { createEventChunk } from "../../mesh/chunk.ts";
import { CHANNEL_EVENTS_MAX, ChannelSink } from "./channel-sink.ts";
import { createTextEvents } from "./rpc-test-house.ts";

const [done] = createTextEvents("end");
if (done === undefined) throw new Error("no event");

function chunkOf(count: number) {
  return createEventChunk(createTextEvents(...Array<string>(count).fill("x")), true);
}

describe("ChannelSink", () => {
  it("hands over what was pushed, started first, in order, and then ends", async () => {
    const channel = new ChannelSink(new Cancellation());
    channel.start(create(DecisionSchema, { model: "m" }));
    channel.chunk(chunkOf(2));
    channel.close(done);
    const events = await channel.take();
    expect(events?.map((event) => event.case)).toEqual([
      "started",
      "textDelta",
      "textDelta",
      "textDelta",
    ]);
    expect(await channel.take()).toBeUndefined();
  });

  it("wakes a reader who was there first", async () => {
    const channel = new ChannelSink(new Cancellation());
    const taken = channel.take();
    channel.chunk(chunkOf(1));
    expect(await taken).toHaveLength(1);
  });

  it("is behind from its bound on, until it is read", async () => {
    const channel = new ChannelSink(new Cancellation());
    expect(channel.chunk(chunkOf(CHANNEL_EVENTS_MAX - 1))).toBe(true);
    expect(channel.chunk(chunkOf(1))).toBe(false);
    let ready = false;
    const waiting = channel.ready().then(() => {
      ready = true;
    });
    await Promise.resolve();
    expect(ready).toBe(false);
    await channel.take();
    await waiting;
    expect(ready).toBe(true);
  });

  it("gives what it holds before the error", async () => {
    const channel = new ChannelSink(new Cancellation());
    channel.chunk(chunkOf(1));
    channel.fail(new Error("broken"));
    expect(await channel.take()).toHaveLength(1);
    await expect(channel.take()).rejects.toThrow("broken");
  });

  it("lets nobody wait whose call is cancelled", async () => {
    const cancellation = new Cancellation();
    const channel = new ChannelSink(cancellation);
    channel.chunk(chunkOf(CHANNEL_EVENTS_MAX));
    const waiting = channel.ready();
    cancellation.cancel(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    await expect(channel.ready()).rejects.toThrow("gone");
  });
});
