import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { request } from "undici";
import { AdminService } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { withMemorySettings } from "../../src/cli/child-memory.js";
import { BenchProcess, mockCore } from "./bench-process.ts";
import { findFreePort } from "./free-port.ts";
import { models } from "./upstream-bytes.ts";

/** The key that the bench asks models with. */
export const BENCH_KEY = `wk_${"bench".repeat(8)}`;
const ADMIN_KEY = `wk_${"admin".repeat(8)}`;
const LINK_TOKEN = "bench-link-token-".repeat(3);

const START_SECONDS = 30;

/** How a Weir is started. */
export interface WeirOptions {
  readonly name: string;
  readonly directory: string;
  readonly upstreamPort: number;
  readonly proxies: number;
  /** Of the proxies; control runs on the upstream's. Undefined to pin neither. */
  readonly core: number | undefined;
  /** Arguments of Node for the proxies, such as `--cpu-prof`. */
  readonly nodeArgs?: readonly string[];
}

/** Weir as it is run in earnest: a control process with its store, and proxies that are joined to it by the link. */
export class WeirUnderTest {
  readonly port: number;
  readonly proxies: readonly BenchProcess[];
  readonly control: BenchProcess;

  private constructor(port: number, control: BenchProcess, proxies: readonly BenchProcess[]) {
    this.port = port;
    this.control = control;
    this.proxies = proxies;
  }

  /** Starts all of it, registers the upstream's models, and waits until a request with each comes through. */
  static async start(options: WeirOptions): Promise<WeirUnderTest> {
    const [port, controlPort] = [await findFreePort(), await findFreePort()];
    const log = join(options.directory, `${options.name}.log`);
    const env = {
      // As `weir serve` has its children.
      ...withMemorySettings({}),
      WEIR_ADMIN_KEY: ADMIN_KEY,
      WEIR_BOOTSTRAP_KEY: BENCH_KEY,
      WEIR_LOG_LEVEL: "warn",
      // As `weir serve` has it from its second start on.
      NODE_COMPILE_CACHE: join(tmpdir(), "weir-bench-compile-cache"),
    };
    const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
    const start = (name: string, core: number | undefined, command: readonly string[]) =>
      new BenchProcess(name, [process.execPath, ...command], { core, env, log });
    const dataDir = join(options.directory, options.name);
    const control = start("control", options.core === undefined ? undefined : mockCore, [
      ...[main, "control", "--listen", `127.0.0.1:${controlPort}`],
      ...["--data-dir", join(dataDir, "control"), "--link-token", LINK_TOKEN],
    ]);
    const proxies = Array.from({ length: options.proxies }, (_, at) =>
      start(`proxy-${at}`, options.core, [
        ...(options.nodeArgs ?? []),
        ...[main, "proxy", "--listen", `127.0.0.1:${port}`, "--share-port"],
        ...["--control", `127.0.0.1:${controlPort}`, "--link-token", LINK_TOKEN],
        ...["--data-dir", join(dataDir, String(at)), "--proxy-id", `${options.name}-${at}`],
      ]),
    );
    const weir = new WeirUnderTest(port, control, proxies);
    try {
      await register(controlPort, options.upstreamPort);
      await waitUntilServing(port);
    } catch (thrown) {
      await weir.stop();
      throw new Error(`${options.name} does not serve, see ${log}`, { cause: thrown });
    }
    return weir;
  }

  async stop(): Promise<void> {
    await Promise.all(this.proxies.map((proxy) => proxy.stop()));
    await this.control.stop();
  }
}

async function register(controlPort: number, upstreamPort: number): Promise<void> {
  const showKey: Interceptor = (next) => (call) => {
    call.header.set("authorization", `Bearer ${ADMIN_KEY}`);
    return next(call);
  };
  const baseUrl = `http://127.0.0.1:${controlPort}`;
  const interceptors = [showKey];
  const transport = createConnectTransport({ baseUrl, httpVersion: "1.1", interceptors });
  const admin = createClient(AdminService, transport);
  await retry("control", () => admin.listModels({}));
  for (const [behaviour, model] of Object.entries(models)) {
    const path = behaviour === "plain" ? "/v1" : `/${behaviour}/v1`;
    await registerModel(admin, model, `http://127.0.0.1:${upstreamPort}${path}`);
  }
}

async function registerModel(
  admin: Client<typeof AdminService>,
  model: string,
  baseUrl: string,
): Promise<void> {
  const provider = `providers/${model.replace("/", "-")}`;
  await admin.createProvider({
    provider: {
      name: provider,
      dialect: "openai",
      baseUrls: [baseUrl],
      credential: { source: { case: "secret", value: "sk-bench" } },
    },
  });
  const price = {
    inputNanoUsdPerMillion: 150_000_000n,
    outputNanoUsdPerMillion: 600_000_000n,
  };
  await admin.createModel({
    model: { name: `models/${model}`, targets: [{ provider, upstreamModel: "bench-1", price }] },
  });
}

/** Policy reaches the proxies over the link a moment after it was made. */
async function waitUntilServing(port: number): Promise<void> {
  const body = JSON.stringify({
    model: models.plain,
    messages: [{ role: "user", content: "hello" }],
  });
  const headers = { authorization: `Bearer ${BENCH_KEY}`, "content-type": "application/json" };
  const url = `http://127.0.0.1:${port}/v1/chat/completions`;
  await retry("proxy", async () => {
    const answer = await request(url, { method: "POST", headers, body, reset: true });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw new Error(text);
  });
}

async function retry<T>(what: string, attempt: () => Promise<T>): Promise<T> {
  const endMs = performance.now() + START_SECONDS * 1000;
  for (;;) {
    try {
      return await attempt();
    } catch (cause) {
      if (performance.now() > endMs) throw new Error(`${what} does not answer`, { cause });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
