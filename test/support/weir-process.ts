import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { request } from "undici";
import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import { createAdminClient, type WeirAdminClient } from "../../src/client/admin.ts";
import { findFreePort } from "./free-port.ts";
import { OwnProcess, until } from "./own-process.ts";

/** Bounds, not expectations: the machine may have much else to do. */
const READY_MS = 90_000;
const DRAIN_MS = 60_000;
const RECORD_MS = 60_000;

/** The secrets that a Weir of these tests begins with. */
export const ADMIN_KEY = `wk_${"a".repeat(40)}`;
export const KEY = `wk_${"k".repeat(40)}`;

/** How to start a Weir. */
export interface WeirOptions {
  readonly workers?: number;
  /** Default: a new one, removed with the process. */
  readonly dataDir?: string;
  /** Default: any free one. */
  readonly port?: number;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Address for the admin client when it is not plain HTTP. */
  readonly tls?: { readonly ca: string };
}

const running = new Set<WeirProcess | SimProcess>();

/**
 * Starts `weir serve` and waits until it serves. To be ended by `endAll()` in the file's afterAll.
 */
export async function startWeir(options: WeirOptions = {}): Promise<WeirProcess> {
  const weir = await launchWeir(options);
  await weir.ready();
  return weir;
}

/** Starts `weir serve` and waits for nothing. */
export async function launchWeir(options: WeirOptions = {}): Promise<WeirProcess> {
  const port = options.port ?? (await findFreePort());
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), "weir-journey-"));
  const weir = new WeirProcess({ ...options, port, dataDir });
  running.add(weir);
  return weir;
}

/** Starts `weir sim`, the upstream that fails on demand. */
export async function startSim(): Promise<SimProcess> {
  const sim = new SimProcess(await findFreePort());
  running.add(sim);
  await until("the simulated engine listens", READY_MS, () => sim.stats().catch(() => undefined));
  return sim;
}

/**
 * Ends every process that was started here, however the tests went, and removes what they wrote.
 */
export async function endAll(): Promise<void> {
  await Promise.all([...running].map((each) => each.destroy()));
  running.clear();
}

/** A running `weir serve` of a test. */
export class WeirProcess {
  readonly port: number;
  readonly dataDir: string;
  readonly #process: OwnProcess;
  readonly #ownsDir: boolean;
  readonly #tls: WeirOptions["tls"];
  #client: WeirAdminClient | undefined;

  constructor(options: WeirOptions & { readonly port: number; readonly dataDir: string }) {
    const { port, dataDir, workers = 1, args = [], env = {} } = options;
    this.port = port;
    this.dataDir = dataDir;
    this.#ownsDir = dataDir.startsWith(join(tmpdir(), "weir-journey-"));
    this.#tls = options.tls;
    this.#process = new OwnProcess(
      [
        ...["serve", "--listen", `127.0.0.1:${port}`, "--data-dir", dataDir],
        ...["--workers", String(workers), ...args],
      ],
      { WEIR_ADMIN_KEY: ADMIN_KEY, WEIR_BOOTSTRAP_KEY: KEY, ...env },
    );
  }

  get url(): string {
    return `${this.#tls === undefined ? "http" : "https"}://127.0.0.1:${this.port}`;
  }

  /** What it has said, on both streams, and what its children have. */
  get output(): string {
    return this.#process.output;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Clients of Admin and Usage services by the first admin key. */
  get client(): WeirAdminClient {
    this.#client ??= createAdminClient({
      address: this.url,
      key: ADMIN_KEY,
      ...(this.#tls === undefined ? {} : { tls: this.#tls }),
    });
    return this.#client;
  }

  get admin(): WeirAdminClient["admin"] {
    return this.client.admin;
  }

  get usage(): WeirAdminClient["usage"] {
    return this.client.usage;
  }

  /** Waits until requests are served and every worker has the policy of the control process. */
  async ready(workers?: number): Promise<void> {
    const what = () => `Weir serves; it says:\n${this.output.slice(-3000)}`;
    await until(what, READY_MS, async () => {
      if (!this.#process.running) throw new Error(`Weir ended:\n${this.output}`);
      return (await this.#isListening()) && (await this.#countWorkers(workers));
    });
  }

  /** Process ids of the proxies, by number, and of the control process. */
  control(): number | undefined {
    return this.#findChild(/ control --listen /);
  }

  proxy(index: number): number | undefined {
    return this.#findChild(new RegExp(` --proxy-id local-${index}( |$)`));
  }

  /** Ends a child at once, as a crash or the system's want of memory would. */
  kill(pid: number | undefined): void {
    if (pid === undefined) throw new Error("there is no such process");
    process.kill(pid, "SIGKILL");
  }

  /** Sends the parent a signal. */
  signal(name: NodeJS.Signals): void {
    this.#process.signal(name);
  }

  /** The record of a request, once the ledger has it. */
  async record(requestId: string): Promise<RequestRecord> {
    return await until(`the ledger has ${requestId}`, RECORD_MS, () =>
      this.usage.getRequest({ requestId }).then(
        ({ record }) => record,
        () => undefined,
      ),
    );
  }

  /** Memory that a child holds, in mebibytes. */
  memory(pid: number | undefined): number {
    const kibibytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Number(kibibytes) / 1024;
  }

  /** Waits for the end that something else brings about. */
  end(withinMs = DRAIN_MS) {
    return this.#process.end(withinMs);
  }

  /** SIGTERM, and waits until it has drained. The data directory stays. */
  async stop(): Promise<number | null> {
    this.#closeClient();
    this.#process.signal("SIGTERM");
    return (await this.#process.end(DRAIN_MS)).code;
  }

  /** Ends it and its children at once, and removes its data directory if it is a test's. */
  async destroy(): Promise<void> {
    this.#closeClient();
    await this.#process.destroy();
    if (this.#ownsDir) rmSync(this.dataDir, { recursive: true, force: true });
  }

  /** Ends it and its children at once; the data directory stays. */
  async killAll(): Promise<void> {
    this.#closeClient();
    await this.#process.destroy();
  }

  #closeClient(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  #findChild(pattern: RegExp): number | undefined {
    return this.#process.children().find(({ command }) => pattern.test(command))?.pid;
  }

  #isListening(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.port, "127.0.0.1");
      socket.once("connect", () => {
        socket.destroy();
        resolve(true);
      });
      socket.once("error", () => resolve(false));
    });
  }

  async #countWorkers(workers: number | undefined): Promise<boolean> {
    try {
      const { proxies } = await this.admin.listProxies({}, { timeoutMs: 10_000 });
      const { revision } = proxies[0] ?? { revision: 0n };
      if (revision === 0n || proxies.some((each) => each.revision !== revision)) return false;
      const wanted = workers ?? this.#process.children().length - 1;
      return proxies.length >= wanted;
    } catch {
      this.#closeClient();
      return false;
    }
  }
}

/** What the simulated engine has seen; see `GET /sim/stats`. */
export interface SimStats {
  readonly requests: number;
  readonly active: number;
  readonly aborted: number;
  readonly lastAbortWallMs: number | null;
}

/** A running `weir sim` of a test. */
export class SimProcess {
  readonly port: number;
  readonly #process: OwnProcess;

  constructor(port: number) {
    this.port = port;
    this.#process = new OwnProcess(["sim", "--port", String(port)], {});
  }

  /** As a provider's base URL. */
  get baseUrl(): string {
    return `http://127.0.0.1:${this.port}/v1`;
  }

  async stats(): Promise<SimStats> {
    const answer = await request(`http://127.0.0.1:${this.port}/sim/stats`);
    return (await answer.body.json()) as SimStats;
  }

  async destroy(): Promise<void> {
    await this.#process.destroy();
  }
}
