import { connect, type Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import type { ChatHandler } from "../../src/mesh/rooms.ts";
import { VirtualClock } from "../../src/mesh/virtual-clock.ts";
import { eventually } from "../support/eventually.ts";
import { certificate } from "./certificate.ts";
import { type Door, openDoor } from "./open-door.ts";
import { echo, KEY } from "./pretend-house.ts";

const PROBE = "GET /healthz HTTP/1.1\r\nHost: weir\r\n\r\n";
const body = JSON.stringify({ model: "sim/echo", messages: [{ role: "user", content: "Hello" }] });
const CHAT =
  `POST /v1/chat/completions HTTP/1.1\r\nHost: weir\r\nx-api-key: ${KEY}\r\n` +
  `Content-Length: ${body.length}\r\n\r\n${body}`;

/** A connection that says something and stays. */
class Peer {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  heard = "";

  constructor(door: Door, says: string) {
    this.socket = connect(door.port.port, "127.0.0.1", () => this.socket.write(says));
    this.socket.on("error", () => {});
    this.socket.on("data", (data) => {
      this.heard += data;
    });
    this.closed = new Promise((resolve) => this.socket.once("close", () => resolve()));
    onTestFinished(() => {
      this.socket.destroy();
    });
  }

  async hears(text: string): Promise<this> {
    await eventually(() => expect(this.heard).toContain(text));
    return this;
  }
}

/** A house whose chats wait, so that their connections are busy. */
function createBusyHouse() {
  const go = Promise.withResolvers<void>();
  let running = 0;
  const chat: ChatHandler = async (...args) => {
    running += 1;
    await go.promise;
    return await echo(...args);
  };
  const busy = (count: number) => eventually(() => expect(running).toBe(count));
  return { chat, busy, go: () => go.resolve() };
}

describe("a port with maxConnections", () => {
  it("closes the newest at once when all are busy, and hurts nobody who is served", async () => {
    const { chat, busy, go } = createBusyHouse();
    const door = await openDoor({ maxConnections: 2, house: { chat } });
    const served = [new Peer(door, CHAT), new Peer(door, CHAT)];
    await busy(2);
    const refused = [new Peer(door, CHAT), new Peer(door, PROBE)];
    for (const peer of refused) await peer.closed;
    expect(refused.map(({ heard }) => heard)).toEqual(["", ""]);
    expect(door.port.connections()).toMatchObject({ open: 2, refused: 2 });
    go();
    for (const peer of served) await peer.hears("200 OK");
  });

  it("takes new ones as soon as somebody has gone", async () => {
    const { chat, busy } = createBusyHouse();
    const door = await openDoor({ maxConnections: 1, house: { chat } });
    const first = new Peer(door, CHAT);
    await busy(1);
    await new Peer(door, PROBE).closed;
    first.socket.destroy();
    await eventually(() => expect(door.port.connections().open).toBe(0));
    await new Peer(door, PROBE).hears("200 OK");
  });

  it("closes those that wait between two requests before it refuses anybody", async () => {
    const { chat, busy } = createBusyHouse();
    const door = await openDoor({ maxConnections: 3, house: { chat } });
    const idle = await new Peer(door, PROBE).hears("200 OK");
    const served = new Peer(door, CHAT);
    await busy(1);
    await new Peer(door, PROBE).hears("200 OK");
    await idle.closed;
    await eventually(() => expect(door.port.connections().open).toBe(2));
    await new Peer(door, PROBE).hears("200 OK");
    expect(served.socket.destroyed).toBe(false);
    expect(door.port.connections().refused).toBe(0);
  });

  it("closes those that have long said nothing, and not who has just come", async () => {
    const clock = new VirtualClock();
    const door = await openDoor({ maxConnections: 3, clock });
    const silent = new Peer(door, "");
    await eventually(() => expect(door.port.connections().open).toBe(1));
    await clock.advance(1_000);
    const young = new Peer(door, "GE");
    await eventually(() => expect(door.port.connections().open).toBe(2));
    const last = await new Peer(door, PROBE).hears("200 OK");
    await silent.closed;
    young.socket.write(PROBE.slice(2));
    await young.hears("200 OK");
    expect(last.socket.destroyed).toBe(false);
  });

  it("counts connections by TLS that have not shaken hands", async () => {
    const door = await openDoor({ maxConnections: 1, tls: certificate });
    const silent = new Peer(door, "");
    await eventually(() => expect(door.port.connections().open).toBe(1));
    await new Peer(door, "").closed;
    expect(silent.socket.destroyed).toBe(false);
    expect(door.port.connections()).toMatchObject({ open: 1, refused: 1 });
  });
});
