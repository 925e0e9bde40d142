import { connect as connectHttp2 } from "node:http2";
import { request } from "node:https";
import { connect } from "node:tls";
import { describe, expect, it } from "vitest";
import { certificate } from "./certificate.ts";
import { openDoor } from "./open-door.ts";

const trust = { ca: certificate.cert, servername: "localhost" };

describe("a port with a certificate", () => {
  it("serves HTTP/2 to who asks for it by ALPN", async () => {
    const door = await openDoor({ tls: certificate });
    const session = connectHttp2(door.url.replace("http:", "https:"), trust);
    const stream = session.request({ ":path": "/healthz" });
    const status = await new Promise((resolve) =>
      stream.on("response", (head) => resolve(head[":status"])),
    );
    stream.resume();
    session.close();
    expect(status).toBe(200);
  });

  for (const ALPNProtocols of [["http/1.1"], undefined]) {
    it(`serves HTTP/1.1 to who asks for ${ALPNProtocols ?? "nothing"} by ALPN`, async () => {
      const door = await openDoor({ tls: certificate });
      const options = { ...trust, host: "127.0.0.1", port: door.port.port, path: "/healthz" };
      const asked = ALPNProtocols === undefined ? options : { ...options, ALPNProtocols };
      const version = await new Promise((resolve, reject) => {
        const sent = request(asked);
        sent.on("response", (got) => resolve(`${got.httpVersion} ${got.statusCode}`));
        sent.on("error", reject);
        sent.end();
      });
      expect(version).toBe("1.1 200");
    });
  }

  it("survives who speaks no TLS, and who says nothing", async () => {
    const door = await openDoor({ tls: certificate, timeouts: { firstByteMs: 1_000 } });
    await Promise.all([door.raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), door.raw()]);
    const socket = connect({ ...trust, port: door.port.port, ALPNProtocols: ["h2"] });
    await new Promise((resolve) => socket.once("secureConnect", resolve));
    expect(socket.alpnProtocol).toBe("h2");
    socket.destroy();
  });

  it("drains", async () => {
    const door = await openDoor({ tls: certificate });
    const session = connectHttp2(door.url.replace("http:", "https:"), trust);
    await new Promise((resolve) => session.once("connect", resolve));
    const closed = new Promise((resolve) => session.once("close", resolve));
    await door.port.drain(60_000);
    await closed;
  });
});
