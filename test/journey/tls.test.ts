import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { request as requestHttps } from "node:https";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, loadPackageDefinition, Metadata } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { Agent } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { certificate } from "../ingress/certificate.ts";
import { chat } from "../support/rest-calls.ts";
import { endAll, KEY, launchWeir, startWeir, type WeirProcess } from "../support/weir-process.ts";

let weir: WeirProcess;
const directory = mkdtempSync(join(tmpdir(), "weir-tls-"));
const certFile = join(directory, "cert.pem");
const keyFile = join(directory, "key.pem");
const trust = { ca: certificate.cert };

beforeAll(async () => {
  writeFileSync(certFile, certificate.cert);
  writeFileSync(keyFile, certificate.key);
  weir = await startWeir({
    workers: 2,
    args: ["--tls-cert", certFile, "--tls-key", keyFile],
    tls: trust,
  });
});
afterAll(async () => {
  await endAll();
  rmSync(directory, { recursive: true, force: true });
});

describe("weir serve with a certificate", () => {
  it("says https where it listens", () => {
    expect(weir.output).toContain(`Weir listens at https://127.0.0.1:${weir.port}`);
  });

  it("chats over HTTP/1.1", async () => {
    const dispatcher = new Agent({ connect: trust, allowH2: false });
    const { status, json } = await chat(weir, {}, { dispatcher });
    await dispatcher.close();
    expect([status, json.choices[0].message.content]).toEqual([200, "one two"]);
  });

  it("chats over HTTP/2, by ALPN", async () => {
    const session = connectHttp2(weir.url, trust);
    const stream = session.request({
      ":method": "POST",
      ":path": "/v1/chat/completions",
      authorization: `Bearer ${KEY}`,
      "content-type": "application/json",
    });
    stream.end(
      JSON.stringify({ model: "sim/echo", messages: [{ role: "user", content: "over h2" }] }),
    );
    let text = "";
    for await (const piece of stream.setEncoding("utf8")) text += piece;
    expect(session.alpnProtocol).toBe("h2");
    expect(JSON.parse(text).choices[0].message.content).toBe("over h2");
    session.close();
  });

  for (const ALPNProtocols of [["http/1.1"], undefined]) {
    it(`serves HTTP/1.1 to who asks for ${ALPNProtocols ?? "nothing"} by ALPN`, async () => {
      const asked = { ...trust, host: "127.0.0.1", port: weir.port, path: "/readyz", agent: false };
      const got = await new Promise((resolve, reject) => {
        const options = ALPNProtocols === undefined ? asked : { ...asked, ALPNProtocols };
        const request = requestHttps(options as typeof asked, (response) => {
          response.resume();
          resolve(`${response.httpVersion} ${response.statusCode}`);
        });
        request.once("error", reject);
        request.end();
      });
      expect(got).toBe("1.1 200");
    });
  }

  it("chats over gRPC with a foreign client", async () => {
    const definition = loadSync("weir/v1/chat_service.proto", { includeDirs: ["proto"] });
    const loaded = loadPackageDefinition(definition) as unknown as {
      weir: { v1: { ChatService: new (...args: unknown[]) => Loose } };
    };
    const secure = credentials.createSsl(Buffer.from(certificate.cert));
    // Of an address this client makes a server name, which Node refuses.
    const client = new loaded.weir.v1.ChatService(`127.0.0.1:${weir.port}`, secure, {
      "grpc.ssl_target_name_override": "localhost",
    });
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${KEY}`);
    const messages = [{ role: "ROLE_USER", parts: [{ text: { text: "over TLS" } }] }];
    const deadline = Date.now() + 60_000;
    const answer = await new Promise((resolve, reject) => {
      const done = (error: Error | null, value: unknown) =>
        error === null ? resolve(value) : reject(error);
      client.CreateChat({ chat: { model: "sim/echo", messages } }, metadata, { deadline }, done);
    });
    client.close();
    expect(answer).toMatchObject({
      choices: [{ message: { parts: [{ text: { text: "over TLS" } }] } }],
    });
  });

  it("serves the admin service too", async () => {
    const { role } = await weir.admin.getSelf({});
    expect(role).toBeGreaterThan(0);
  });

  it("does not speak in the clear, and survives who tries", async () => {
    const said = await new Promise<string>((resolve) => {
      const socket = createConnection(weir.port, "127.0.0.1", () => {
        socket.write(`GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n`);
      });
      let text = "";
      socket.setTimeout(5_000, () => socket.destroy());
      socket.on("data", (piece) => {
        text += piece.toString("latin1");
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve(text));
    });
    expect(said).not.toContain("HTTP/1.1 200");
    expect((await weir.admin.getSelf({})).key).toBe("teams/root/keys/admin");
  });

  it("drains", async () => {
    expect(await weir.stop()).toBe(0);
  });
});

describe("weir serve with half a certificate", () => {
  const wrong: ReadonlyArray<readonly [string, readonly string[], RegExp]> = [
    ["no key", ["--tls-cert", certFile], /give both --tls-cert and --tls-key/],
    ["a file that is not there", ["--tls-cert", "/no/such", "--tls-key", keyFile], /\/no\/such/],
    [
      "no certificate in it",
      ["--tls-cert", keyFile, "--tls-key", certFile],
      /are no certificate and its key/,
    ],
  ];
  it.each(wrong)("says what is wrong: %s", async (_, args, text) => {
    const refused = await launchWeir({ args });
    expect((await refused.end()).code).toBe(2);
    expect(refused.output).toMatch(text);
    expect(refused.output).not.toMatch(/^\s+at /m);
  });
});

interface Loose {
  CreateChat(...args: unknown[]): void;
  close(): void;
}
