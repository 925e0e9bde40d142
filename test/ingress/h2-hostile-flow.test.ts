import { describe, expect, it, onTestFinished } from "vitest";
import { openPort } from "../../src/ingress/port.ts";
import { systemClock } from "../../src/mesh/clock.ts";
import { ask, createFlood, data, open, openStreet, times } from "./h2-street.ts";
import { Door, openDoor } from "./open-door.ts";
import { Code, Flag, frame, get, headers, RawPeer, settings, Type, words } from "./raw-http2.ts";

describe("a peer that sends more than it may", () => {
  const mega = (stream: number) => times(64, () => data(stream, Buffer.alloc(16_384)));

  it("may fill the windows of its streams and of its connection", async () => {
    const attacker = RawPeer.greet(await openIdleDoor());
    for (const stream of [1, 3, 5, 7]) attacker.send(open(stream), mega(stream));
    await attacker.settled();
    const isTold = (each: { type: number }) => each.type === Type.WINDOW_UPDATE;
    // The connection's window, once, at its beginning.
    expect(attacker.received.filter(isTold)).toHaveLength(1);
  });

  it("loses a stream with the first byte beyond its window", async () => {
    const attacker = RawPeer.greet(await openIdleDoor());
    attacker.send(open(1), mega(1), data(1, Buffer.alloc(1)));
    expect(await attacker.reset(1)).toBe(Code.FLOW_CONTROL_ERROR);
    attacker.send(open(3), data(3, Buffer.alloc(16_384)));
    await attacker.settled();
  });

  it("loses its connection with the first byte beyond its window", async () => {
    const attacker = RawPeer.greet(await openIdleDoor());
    for (const stream of [1, 3, 5, 7]) attacker.send(open(stream), mega(stream));
    attacker.send(open(9), data(9, Buffer.alloc(1)));
    expect(await attacker.goaway()).toBe(Code.FLOW_CONTROL_ERROR);
  });

  it("counts padding as what it is", async () => {
    const attacker = RawPeer.greet(await openIdleDoor());
    const padding = Buffer.concat([Buffer.of(255), Buffer.alloc(255)]);
    attacker.send(open(1), mega(1).subarray(0, 63 * 16_393));
    attacker.send(times(64, () => data(1, padding, Flag.PADDED)));
    await attacker.settled();
    attacker.send(data(1, Buffer.alloc(1)));
    expect(await attacker.reset(1)).toBe(Code.FLOW_CONTROL_ERROR);
  });
});

describe("a peer that takes nothing", () => {
  it("is held back, in each of its streams, and the others are served", async () => {
    const pieces: number[] = [];
    const { door, livesOn } = await openStreet({ house: { chat: createFlood(pieces) } });
    const attacker = RawPeer.greet(door, [4, 0]);
    for (let at = 0; at < 100; at += 1) ask(attacker, 1 + 2 * at);
    expect(await attacker.status(199)).toBe("200");
    await attacker.settled();
    await livesOn();
    expect(pieces).toHaveLength(100);
    // Of 160 pieces: one that does not fit, and what the door's own buffer takes.
    expect(Math.max(...pieces)).toBeLessThan(8);
    attacker.send(headers(201, get));
    expect(await attacker.status(201)).toBe("200");
  });

  it("gets everything once it opens its windows", async () => {
    const { door } = await openStreet({ house: { chat: createFlood([]) } });
    const attacker = RawPeer.greet(door, [4, 0]);
    ask(attacker, 1);
    expect(await attacker.status(1)).toBe("200");
    await attacker.settled();
    expect(attacker.bodyBytes(1)).toBe(0);
    attacker.send(frame(Type.WINDOW_UPDATE, 0, 0, words(2 ** 30)), settings([4, 2 ** 30]));
    await attacker.find((each) => each.stream === 1 && (each.flags & Flag.END_STREAM) !== 0);
    expect(attacker.bodyBytes(1)).toBeGreaterThan(160 * 64 * 1024);
  });

  it("loses its streams when it opens no window for too long", async () => {
    const timeouts = { requestMs: 60 };
    const door = await openDoor({ house: { chat: createFlood([]) }, timeouts });
    const attacker = RawPeer.greet(door, [4, 0]);
    ask(attacker, 1);
    expect(await attacker.reset(1)).toBe(Code.CANCEL);
    await expect.poll(() => door.port.openStreams()).toBe(0);
    attacker.send(headers(3, get));
    expect(await attacker.status(3)).toBe("200");
  });

  it("is cut off when its socket takes nothing for too long", async () => {
    const timeouts = { requestMs: 60 };
    const pieces: number[] = [];
    const door = await openDoor({ house: { chat: createFlood(pieces) }, timeouts });
    const attacker = RawPeer.greet(door, [4, 2 ** 30]);
    attacker.send(frame(Type.WINDOW_UPDATE, 0, 0, words(2 ** 30)));
    attacker.socket.pause();
    for (let at = 0; at < 20; at += 1) ask(attacker, 1 + 2 * at);
    await expect.poll(() => pieces.length).toBeGreaterThan(0);
    await expect.poll(() => door.port.openStreams()).toBe(0);
    expect(pieces.some((count) => count < 160)).toBe(true);
  });

  it("sends no byte more than a window that shrinks below nothing", async () => {
    const { door } = await openStreet({ house: { chat: createFlood([]) } });
    const attacker = RawPeer.greet(door, [4, 1000]);
    ask(attacker, 1);
    await attacker.find((each) => each.type === Type.DATA);
    attacker.send(settings([4, 0]), frame(Type.WINDOW_UPDATE, 0, 1, words(999)));
    await attacker.settled();
    expect(attacker.bodyBytes(1)).toBe(1000);
    attacker.send(frame(Type.WINDOW_UPDATE, 0, 1, words(2)));
    await attacker.settled();
    await attacker.settled();
    expect(attacker.bodyBytes(1)).toBe(1001);
  });
});

/** A door that answers nothing and reads no body. */
async function openIdleDoor(): Promise<Door> {
  const receiver = {
    takeData: () => false,
    takeEnd: () => {},
    takeDrain: () => {},
    takeClose: () => {},
  };
  const port = await openPort({
    host: "127.0.0.1",
    port: 0,
    reusePort: false,
    clock: systemClock,
    http1: () => {},
    http2: (stream) => {
      stream.receiver = receiver;
    },
  });
  onTestFinished(() => port.close());
  return new Door(port);
}
