import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { onTestFinished } from "vitest";
import { createH2Exchange } from "../../src/ingress/h2/h2-exchange.ts";
import type { House } from "../../src/ingress/house.ts";
import {
  openPort,
  type Port,
  type PortCertificate,
  type PortTimeouts,
} from "../../src/ingress/port.ts";
import { createRestDoor } from "../../src/ingress/rest/door.ts";
import type { RestOptions } from "../../src/ingress/rest/options.ts";
import { type Clock, systemClock } from "../../src/mesh/clock.ts";
import { createPretendHouse } from "./pretend-house.ts";

/** What a test may change about a door. */
export interface DoorChanges {
  readonly house?: Partial<House>;
  readonly rest?: Partial<RestOptions>;
  readonly timeouts?: Partial<PortTimeouts>;
  readonly tls?: PortCertificate;
  readonly maxConnections?: number;
  readonly clock?: Clock;
}

/** A REST door on a port of its own; closed when the test is over. */
export async function openDoor(changes: DoorChanges = {}): Promise<Door> {
  const serve = createRestDoor(createPretendHouse(changes.house), changes.rest);
  const port = await openPort({
    host: "127.0.0.1",
    port: 0,
    reusePort: false,
    http1: serve,
    http2: (stream, headers) => serve(createH2Exchange(stream, headers)),
    clock: changes.clock ?? systemClock,
    ...(changes.tls === undefined ? {} : { tls: changes.tls }),
    ...(changes.maxConnections === undefined ? {} : { maxConnections: changes.maxConnections }),
    ...(changes.timeouts === undefined ? {} : { timeouts: changes.timeouts }),
  });
  onTestFinished(() => port.close());
  return new Door(port);
}

export class Door {
  readonly port: Port;
  readonly url: string;

  constructor(port: Port) {
    this.port = port;
    this.url = `http://127.0.0.1:${port.port}`;
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return fetch(this.url + path, { method: "POST", headers, body: text });
  }

  /**
   * Sends bytes on a socket of its own; resolves with all that came back once the door has closed
   * it.
   */
  raw(...pieces: Array<string | Buffer>): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect(this.port.port, "127.0.0.1");
      let answer = "";
      socket.on("data", (data) => {
        answer += data;
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve(answer));
      for (const piece of pieces) socket.write(piece);
    });
  }

  http2(): ClientHttp2Session {
    const session = connectHttp2(this.url);
    session.on("error", () => {});
    onTestFinished(() => session.destroy());
    return session;
  }
}
