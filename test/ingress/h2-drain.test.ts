import { describe, expect, it } from "vitest";
import { openDoor } from "./open-door.ts";
import { Flag, frame, get, headers, RawPeer, Type, words } from "./raw-http2.ts";

const isGoaway = ({ type }: { readonly type: number }) => type === Type.GOAWAY;
const isPing = ({ type, flags }: { readonly type: number; readonly flags: number }) =>
  type === Type.PING && flags !== Flag.ACK;

describe("drain() of a connection", () => {
  it("takes what was sent before the peer could know, and nothing after", async () => {
    const door = await openDoor();
    const peer = RawPeer.greet(door);
    await peer.settled();
    const drained = door.port.drain(60_000);
    const notice = await peer.find(isGoaway);
    expect([...notice.payload]).toEqual([...words(2 ** 31 - 1, 0)]);
    peer.send(headers(1, get));
    expect(await peer.status(1)).toBe("200");
    const ping = await peer.find(isPing);
    peer.send(frame(Type.PING, Flag.ACK, 0, ping.payload), headers(3, get));
    await peer.closed;
    const last = peer.received.filter(isGoaway).at(-1);
    expect([...(last?.payload ?? [])]).toEqual([...words(1, 0)]);
    expect(peer.received.some(({ type, stream }) => type === Type.HEADERS && stream === 3)).toBe(
      false,
    );
    await drained;
  });

  it("does not wait for long for a peer that answers no ping", async () => {
    const door = await openDoor();
    const peer = RawPeer.greet(door);
    await peer.settled();
    await door.port.drain(60_000);
    expect(peer.received.filter(isGoaway)).toHaveLength(2);
  });
});
