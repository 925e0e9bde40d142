import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { request } from "undici";
import { afterAll, describe, expect, it } from "vitest";
import { Role } from "../../gen/weir/v1/chat_pb.ts";
import { ChatService } from "../../gen/weir/v1/chat_service_pb.ts";
import { findFreePort } from "../support/free-port.ts";
import { until } from "../support/own-process.ts";
import { chat, chatBody, streamText } from "../support/rest-calls.ts";
import { endAll, KEY, launchWeir, startWeir, type WeirProcess } from "../support/weir-process.ts";

const directories: string[] = [];

afterAll(async () => {
  await endAll();
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "weir-kept-"));
  directories.push(directory);
  return directory;
}

/** How long Weir waits at most for what is under way, less some patience with this machine. */
const GRACE_MS = 25_000;
const WAIT_MS = 60_000;
/** Forty tokens, fifteen a second. */
const slow = { model: "sim/text", stream: true, sim: { tps: 15, tokens: 40 } };
/** Of which no drain sees the end. */
const endless = { ...slow, sim: { tps: 15, tokens: 4_000 } };

/** Begins a stream over REST; resolves with its first bytes and a promise of all. */
async function beginStream(weir: WeirProcess, fields: object = slow) {
  const answer = await request(`${weir.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify(chatBody({ ...fields })),
  });
  const pieces: string[] = [];
  const body = answer.body.setEncoding("utf8");
  const all = new Promise<string>((resolve, reject) => {
    body.on("data", (piece: string) => pieces.push(piece));
    body.once("end", () => resolve(pieces.join("")));
    body.once("error", reject);
  });
  all.catch(() => {});
  await until("the stream begins", WAIT_MS, () => pieces.length > 0);
  return { requestId: String(answer.headers["x-request-id"]), all };
}

/** The same over gRPC. */
async function beginRpcStream(weir: WeirProcess) {
  const client = createClient(ChatService, createGrpcTransport({ baseUrl: weir.url }));
  const part = { part: { case: "text" as const, value: { text: "x" } } };
  const providerOptions = JSON.stringify({ sim: slow.sim });
  const messages = [{ role: Role.USER, parts: [part] }];
  const stream = client
    .streamChat(
      { chat: { model: slow.model, messages, providerOptions } },
      { headers: { authorization: `Bearer ${KEY}` } },
    )
    [Symbol.asyncIterator]();
  await stream.next();
  return async () => {
    let last: string | undefined;
    for (;;) {
      const { value, done } = await stream.next();
      if (done === true) return last;
      last = value.event.case;
    }
  };
}

async function isRefused(weir: WeirProcess): Promise<boolean> {
  return await request(`${weir.url}/healthz`, { reset: true }).then(
    async ({ body }) => {
      await body.dump();
      return false;
    },
    (error: NodeJS.ErrnoException) => error.code === "ECONNREFUSED",
  );
}

describe("SIGTERM", () => {
  it("lets streams finish, takes no new ones, ends with 0 and loses no record", async () => {
    const dataDir = makeDirectory();
    const weir = await startWeir({ workers: 2, dataDir });
    const streams = await Promise.all([beginStream(weir), beginStream(weir), beginStream(weir)]);
    const finishRpc = await beginRpcStream(weir);
    weir.signal("SIGTERM");
    await until("new connections are refused", WAIT_MS, () => isRefused(weir));
    for (const { all } of streams) {
      const text = await all;
      expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
      expect(streamText(text).length).toBeGreaterThan(50);
    }
    expect(await finishRpc()).toBe("finished");
    expect(await weir.end()).toEqual({ code: 0, signal: null });

    const again = await startWeir({ dataDir });
    for (const { requestId } of streams) {
      const record = await again.record(requestId);
      expect(record).toMatchObject({ finishReason: "stop", stream: true, errorReason: "" });
    }
    expect(again.output).not.toContain("administrative key");
    expect(await again.stop()).toBe(0);
  });

  it("lets streams finish when it comes to all processes at once", async () => {
    const dataDir = makeDirectory();
    const weir = await startWeir({ workers: 2, dataDir });
    const streams = await Promise.all([beginStream(weir), beginStream(weir), beginStream(weir)]);
    const said = weir.output.length;
    // As a terminal, `timeout` and systemd send it; each child gets one of its parent's too.
    for (const pid of [weir.control(), weir.proxy(0), weir.proxy(1), weir.pid]) {
      if (pid === undefined) throw new Error("there is no such process");
      process.kill(pid, "SIGTERM");
    }
    for (const { all } of streams) expect((await all).endsWith("data: [DONE]\n\n")).toBe(true);
    expect(await weir.end()).toEqual({ code: 0, signal: null });
    expect(weir.output.slice(said), "control stays to the end").not.toContain("not connected");

    const again = await startWeir({ dataDir });
    for (const { requestId } of streams) {
      expect(await again.record(requestId)).toMatchObject({ finishReason: "stop" });
    }
    expect(await again.stop()).toBe(0);
  });

  it("does not wait for connections without requests", async () => {
    const weir = await startWeir();
    expect((await chat(weir)).status).toBe(200);
    await weir.admin.getSelf({});
    const startedMs = performance.now();
    weir.signal("SIGTERM");
    expect(await weir.end()).toEqual({ code: 0, signal: null });
    expect(performance.now() - startedMs).toBeLessThan(GRACE_MS);
  });

  it("ends at once when it comes a second time", async () => {
    const weir = await startWeir({ workers: 2 });
    const { all } = await beginStream(weir, endless);
    weir.signal("SIGTERM");
    await until("new connections are refused", WAIT_MS, () => isRefused(weir));
    const startedMs = performance.now();
    weir.signal("SIGTERM");
    expect((await weir.end()).code).toBe(1);
    expect(performance.now() - startedMs).toBeLessThan(GRACE_MS);
    await expect(all).rejects.toThrow();
  });
});

describe("a data directory", () => {
  it("gives up the journals of workers that are there no more", async () => {
    const dataDir = makeDirectory();
    const first = await startWeir({ workers: 3, dataDir });
    first.kill(first.control());
    const answers = await Promise.all(Array.from({ length: 30 }, () => chat(first)));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    await first.killAll();

    const second = await startWeir({ workers: 1, dataDir });
    expect(second.output).toContain("took over a journal");
    for (const { requestId } of answers) await second.record(requestId);
    const { rows } = await second.usage.queryUsage({});
    expect(rows[0]?.totals?.requests).toBe(30n);
    await second.stop();
  });

  it("belongs to one `weir serve` at a time", async () => {
    const first = await startWeir();
    const second = await launchWeir({ dataDir: first.dataDir });
    expect(await second.end()).toMatchObject({ code: 2 });
    expect(second.output).toMatch(/^weir serve: .* is in use by process \d+: stop it/);
    expect((await chat(first)).status).toBe(200);
    expect(await first.stop()).toBe(0);
  });

  it("can be taken over from a `weir serve` that was killed", async () => {
    const dataDir = makeDirectory();
    const first = await startWeir({ workers: 2, dataDir });
    const answers = await Promise.all(Array.from({ length: 10 }, () => chat(first)));
    // Only the parent: its children see that it is gone, and drain by themselves.
    first.kill(first.pid);
    await first.end();
    const second = await startWeir({ workers: 2, dataDir, port: first.port });
    for (const { requestId } of answers) await second.record(requestId);
    await second.stop();
  });
});

describe("a Weir that cannot start", () => {
  async function occupy(): Promise<{ readonly port: number; readonly server: Server }> {
    const port = await findFreePort();
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    return { port, server };
  }

  async function expectRefusal(weir: WeirProcess, text: RegExp): Promise<void> {
    const { code } = await weir.end();
    expect(weir.output).toMatch(text);
    expect(weir.output).not.toMatch(/^\s+at /m);
    expect(code).toBe(2);
  }

  it("says that its port is taken", async () => {
    const { port, server } = await occupy();
    await expectRefusal(await launchWeir({ port }), /something listens at 127\.0\.0\.1:\d+/);
    server.close();
  });

  it("says so too when another Weir has it", async () => {
    const first = await startWeir();
    const second = await launchWeir({ port: first.port });
    await expectRefusal(second, /something listens at 127\.0\.0\.1:\d+/);
    await first.stop();
  });

  it("says that the port of its control process is taken", async () => {
    const { port, server } = await occupy();
    const weir = await launchWeir({ args: ["--control-listen", `127.0.0.1:${port}`] });
    await expectRefusal(weir, new RegExp(`something listens at 127\\.0\\.0\\.1:${port}`));
    server.close();
  });

  it("says that a first key is too weak", async () => {
    const weir = await launchWeir({ env: { WEIR_ADMIN_KEY: "wk_short" } });
    await expectRefusal(weir, /WEIR_ADMIN_KEY must be `wk_` and at least 32/);
  });

  it("says that its sealing key is no key", async () => {
    const weir = await launchWeir({ env: { WEIR_SECRET_KEY: "short" } });
    await expectRefusal(weir, /WEIR_SECRET_KEY must hold 32 bytes/);
  });

  it("says that its data directory cannot be one", async () => {
    const weir = await launchWeir({ dataDir: "/dev/null/weir" });
    await expectRefusal(weir, /ENOTDIR/);
  });
});
