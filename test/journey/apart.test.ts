import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createAdminClient } from "../../src/client/admin.ts";
import { certificate } from "../ingress/certificate.ts";
import { findFreePort } from "../support/free-port.ts";
import { OwnProcess, until } from "../support/own-process.ts";
import { chat, post } from "../support/rest-calls.ts";
import { ADMIN_KEY, KEY } from "../support/weir-process.ts";

const WAIT_MS = 90_000;
const TOKEN = "t".repeat(40);
const keys = { WEIR_ADMIN_KEY: ADMIN_KEY, WEIR_BOOTSTRAP_KEY: KEY, WEIR_LINK_TOKEN: TOKEN };
const directory = mkdtempSync(join(tmpdir(), "weir-apart-"));
const certFile = join(directory, "cert.pem");
const keyFile = join(directory, "key.pem");
const processes: OwnProcess[] = [];
let controlAddress = "";
let url = "";

beforeAll(async () => {
  writeFileSync(certFile, certificate.cert);
  writeFileSync(keyFile, certificate.key);
  controlAddress = `127.0.0.1:${await findFreePort()}`;
  const port = await findFreePort();
  url = `http://127.0.0.1:${port}`;
  start("control", [
    ...["--listen", controlAddress, "--data-dir", join(directory, "control")],
    ...["--tls-cert", certFile, "--tls-key", keyFile],
  ]);
  const proxy = start("proxy", [
    ...["--control", controlAddress, "--control-ca", certFile],
    ...["--listen", `127.0.0.1:${port}`, "--data-dir", join(directory, "proxy")],
  ]);
  await until(`the proxy serves; it says:\n${proxy.output}`, WAIT_MS, () =>
    chat({ url }, {}).then(
      ({ status }) => status === 200,
      () => false,
    ),
  );
});

afterAll(async () => {
  await Promise.all(processes.map((each) => each.destroy()));
  rmSync(directory, { recursive: true, force: true });
});

function start(command: string, args: string[]): OwnProcess {
  const started = new OwnProcess([command, ...args], keys);
  processes.push(started);
  return started;
}

describe("control and proxy apart, joined by TLS at an IP address", () => {
  it("chats by the policy that came over the link", async () => {
    const { status, json } = await chat({ url }, {});
    expect([status, json.choices[0].message.content]).toEqual([200, "one two"]);
  });

  it("relays Admin requests to the control plane", async () => {
    const client = createAdminClient({ address: url, key: ADMIN_KEY });
    const { proxies } = await client.admin.listProxies({});
    client.close();
    expect(proxies.map((each) => each.listen)).toEqual([url.slice("http://".length)]);
  });

  it("relays Admin requests of HTTP/1.1 too", async () => {
    const { status, json } = await post(
      { url },
      "/weir.admin.v1.AdminService/GetSelf",
      {},
      {
        key: ADMIN_KEY,
      },
    );
    expect([status, json.key]).toEqual([200, "teams/root/keys/admin"]);
  });

  it("says how to mend a proxy that lacks the authority of the control plane", async () => {
    const port = await findFreePort();
    const lost = start("proxy", [
      ...["--control", controlAddress, "--listen", `127.0.0.1:${port}`],
      ...["--data-dir", join(directory, "lost")],
    ]);
    await until("it says what is wrong", WAIT_MS, () =>
      lost.output.includes("not connected to the control plane"),
    );
    const { status } = await chat({ url: `http://127.0.0.1:${port}` }, {});
    expect(status).toBe(503);
  });
});

describe("weir control beyond this machine", () => {
  it("refuses to listen without a credential for the link", async () => {
    const open = new OwnProcess(
      ["control", "--listen", "0.0.0.0:0", "--data-dir", join(directory, "open")],
      {},
    );
    processes.push(open);
    expect((await open.end(WAIT_MS)).code).toBe(2);
    expect(open.output).toContain("--link-token");
  });
});
