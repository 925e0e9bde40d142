import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Agent } from "undici";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { Role } from "../../gen/weir/v1/chat_pb.ts";
import { ChatService } from "../../gen/weir/v1/chat_service_pb.ts";
import { createAdminClient } from "../../src/client/admin.ts";
import { findFreePort } from "../support/free-port.ts";
import { OwnProcess, until } from "../support/own-process.ts";
import { chat, chatBody, post } from "../support/rest-calls.ts";
import { ADMIN_KEY, endAll, KEY, startWeir, type WeirProcess } from "../support/weir-process.ts";

const WAIT_MS = 90_000;
/** What must have happened under load before it ends, however long that takes. */
const KILLS = 4;
const COMPLETED = 200;
const CLIENTS = 8;
/** Each client asks again after so long: enough to have requests under way at any time, on two cores. */
const PAUSE_MS = 5;

afterAll(endAll);

/** What clients saw: each request that was answered to its very end. */
class Load {
  readonly completed: string[] = [];
  failed = 0;
  #stopped = false;
  #running: Promise<void>[] = [];

  constructor(weir: WeirProcess) {
    for (let at = 0; at < CLIENTS; at++) {
      this.#running.push(this.#repeat(createRestCall(weir, at % 2 === 0)));
      this.#running.push(this.#repeat(createRpcCall(weir, at % 2 === 0)));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #repeat(call: () => Promise<string>): Promise<void> {
    while (!this.#stopped) {
      try {
        this.completed.push(await call());
      } catch {
        this.failed++;
        await delay(PAUSE_MS * 10);
      }
      await delay(PAUSE_MS);
    }
  }
}

/** Asks over REST; resolves with the request's id once the whole answer is there. */
function createRestCall(weir: WeirProcess, stream: boolean): () => Promise<string> {
  const dispatcher = new Agent();
  return async () => {
    const { status, text, requestId } = await chat(weir, { stream }, { dispatcher });
    const whole = stream ? text.endsWith("data: [DONE]\n\n") : text.endsWith("}");
    if (status !== 200 || !whole) throw new Error(text);
    return requestId;
  };
}

/** Asks over gRPC, likewise. */
function createRpcCall(weir: WeirProcess, stream: boolean): () => Promise<string> {
  const client = createClient(ChatService, createGrpcTransport({ baseUrl: weir.url }));
  const part = { part: { case: "text" as const, value: { text: "one two" } } };
  const ask = { chat: { model: "sim/echo", messages: [{ role: Role.USER, parts: [part] }] } };
  const options = { headers: { authorization: `Bearer ${KEY}` }, timeoutMs: 30_000 };
  return async () => {
    if (!stream) return (await client.createChat(ask, options)).decision?.requestId ?? "";
    let requestId = "";
    for await (const { event } of client.streamChat(ask, options)) {
      if (event.case === "started") requestId = event.value.decision?.requestId ?? "";
    }
    return requestId;
  };
}

/** The ids of all requests in the ledger, read beneath Weir once it is gone. */
function readLedger(dataDir: string): string[] {
  const database = new DatabaseSync(join(dataDir, "weir.db"), { readOnly: true });
  const rows = database.prepare("SELECT request_id FROM requests").all();
  database.close();
  return rows.map((row) => String(row.request_id));
}

async function countRequests(usage: WeirProcess["usage"]): Promise<number> {
  const { rows } = await usage.queryUsage({});
  return Number(rows[0]?.totals?.requests ?? 0n);
}

describe("weir serve under load", () => {
  it("loses no finished request and doubles none when its processes are killed", async () => {
    const weir = await startWeir({ workers: 2 });
    const load = new Load(weir);
    for (let round = 0; round < KILLS; round++) {
      await delay(700);
      weir.kill(await until("a proxy runs", WAIT_MS, () => weir.proxy(round % 2)));
      await delay(300);
      weir.kill(await until("the control process runs", WAIT_MS, () => weir.control()));
    }
    await weir.ready(2);
    await until("enough is served", WAIT_MS, () => load.completed.length >= COMPLETED);
    await load.stop();

    await until("the ledger has all that clients saw", WAIT_MS, async () => {
      return (await countRequests(weir.usage)) >= load.completed.length;
    });
    const counted = await countRequests(weir.usage);
    const stopped = await weir.stop();
    expect(stopped).toBe(0);
    const kept = readLedger(weir.dataDir);
    expect(new Set(kept).size).toBe(kept.length);
    expect(counted).toBeLessThanOrEqual(kept.length);
    const ids = new Set(kept);
    expect(load.completed.filter((id) => !ids.has(id))).toEqual([]);
    // What is there beyond that was cut off by a kill before its client had read all.
    expect(kept.length - load.completed.length).toBeLessThanOrEqual(load.failed);
  });
});

describe("weir serve without its control process", () => {
  it("serves by the policy that it has, refuses Admin calls, and goes on when it is back", async () => {
    const weir = await startWeir({ workers: 2 });
    const control = weir.control();
    // A parent that is held cannot start it again.
    weir.signal("SIGSTOP");
    weir.kill(control);
    await until("the control process is gone", WAIT_MS, () => weir.control() === undefined);
    const answers = await Promise.all(Array.from({ length: 20 }, () => chat(weir)));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    const away = await post(weir, "/weir.admin.v1.AdminService/GetSelf", {}, { key: ADMIN_KEY });
    expect(away).toMatchObject({ status: 503, json: { code: "unavailable" } });

    weir.signal("SIGCONT");
    await weir.ready(2);
    await weir.admin.updateKey({
      key: { name: "teams/first/keys/first", disabled: true },
      updateMask: { paths: ["disabled"] },
    });
    const refused = await Promise.all(Array.from({ length: 10 }, () => chat(weir)));
    expect(refused.map(({ status }) => status)).toEqual(Array(10).fill(401));
    for (const { requestId } of answers) await weir.record(requestId);
    await weir.stop();
  });
});

describe("weir control and weir proxy, apart", () => {
  const started: OwnProcess[] = [];
  let directory: string;
  const token = "t".repeat(40);

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "weir-kept-"));
  });
  afterEach(async () => {
    for (const each of started.splice(0)) await each.destroy();
    rmSync(directory, { recursive: true, force: true });
  });

  function start(...args: string[]): OwnProcess {
    const keys = { WEIR_ADMIN_KEY: ADMIN_KEY, WEIR_BOOTSTRAP_KEY: KEY, WEIR_LINK_TOKEN: token };
    const made = new OwnProcess(args, keys);
    started.push(made);
    return made;
  }

  it("start a proxy from its last snapshot while control is down, and deliver later", async () => {
    const [controlPort, port] = [await findFreePort(), await findFreePort()];
    const controlDir = join(directory, "control");
    const proxyDir = join(directory, "proxy");
    const startControl = () =>
      start("control", "--listen", `127.0.0.1:${controlPort}`, "--data-dir", controlDir);
    const startProxy = () =>
      start(
        ...["proxy", "--listen", `127.0.0.1:${port}`, "--data-dir", proxyDir],
        ...["--control", `127.0.0.1:${controlPort}`, "--proxy-id", "apart"],
      );
    const place = { url: `http://127.0.0.1:${port}` };
    const serves = () =>
      chat(place).then(
        ({ status }) => status === 200,
        () => false,
      );

    const control = startControl();
    const proxy = startProxy();
    await until("the proxy serves", WAIT_MS, serves);
    await until("the snapshot is on disk", WAIT_MS, () => {
      const file = statSync(join(proxyDir, "snapshot.sealed"), { throwIfNoEntry: false });
      return (file?.size ?? 0) > 0;
    });
    await control.destroy();
    await proxy.destroy();

    startProxy();
    await until("the proxy serves from its snapshot", WAIT_MS, serves);
    const ready = await fetch(`${place.url}/readyz`);
    expect(ready.status).toBe(200);
    const { requestId } = await post(place, "/v1/chat/completions", chatBody());

    startControl();
    const { admin, usage, close } = createAdminClient({
      address: `http://127.0.0.1:${controlPort}`,
      key: ADMIN_KEY,
      keepalive: false,
    });
    await until("the record is delivered", WAIT_MS, () => hasRecord(usage, requestId));
    await until("the proxy is connected", WAIT_MS, async () => {
      const { proxies } = await admin.listProxies({});
      return proxies.length === 1;
    });
    const { result } = await admin.deleteKey({ name: "teams/first/keys/first" });
    expect(result?.proxiesConfirmed).toBe(1);
    expect((await chat(place)).status).toBe(401);
    close();
  });
});

function hasRecord(usage: WeirProcess["usage"], requestId: string): Promise<boolean> {
  return usage.getRequest({ requestId }).then(
    () => true,
    () => false,
  );
}
