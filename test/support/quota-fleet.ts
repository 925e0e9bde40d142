import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { request } from "undici";
import { Dimension, Per_Scope, type PolicySchema } from "../../gen/weir/admin/v1/policy_pb.ts";
import { createAdminClient, type WeirAdminClient } from "../../src/client/admin.ts";
import { type Account, INPUT_NANO_USD, OUTPUT_NANO_USD } from "./billing-upstream.ts";
import { findFreePort } from "./free-port.ts";
import { OwnProcess, until } from "./own-process.ts";
import { type PostgresServer, startPostgres, withClient } from "./postgres-server.ts";
import { chat } from "./rest-calls.ts";
import { ADMIN_KEY, KEY } from "./weir-process.ts";

const READY_MS = 90_000;
const TOKEN = "t".repeat(40);
const DATABASE = "weir";

type Rule = NonNullable<MessageInitShape<typeof PolicySchema>["rule"]>;

/** What the ledger holds of one policy for one proxy, over all its starts. */
export interface Booked {
  readonly proxyId: string;
  readonly confirmed: number;
  readonly forfeited: number;
  /** What is granted and neither spent nor given back nor forfeited. */
  readonly held: number;
  readonly outstanding: number;
}

/** The sums of one policy's buckets. */
export interface Sums {
  readonly spent: number;
  readonly leased: number;
  readonly forfeited: number;
}

/** Processes as in a company: a Postgres, a control, some proxies, and a vendor who bills. */
export class QuotaFleet {
  readonly postgres: PostgresServer;
  readonly proxies: FleetProxy[] = [];
  readonly #directory: string;
  readonly #vendor: Vendor;
  readonly #controlAddress: string;
  #control: OwnProcess | undefined;
  #client: WeirAdminClient | undefined;

  constructor(postgres: PostgresServer, directory: string, vendor: Vendor, address: string) {
    this.postgres = postgres;
    this.#directory = directory;
    this.#vendor = vendor;
    this.#controlAddress = address;
  }

  get admin(): WeirAdminClient["admin"] {
    this.#client ??= createAdminClient({
      address: `http://${this.#controlAddress}`,
      key: ADMIN_KEY,
    });
    return this.#client.admin;
  }

  /** What the control says; for a message of a failure. */
  get output(): string {
    return this.#control?.output ?? "";
  }

  async start(count: number): Promise<void> {
    const env = {
      WEIR_ADMIN_KEY: ADMIN_KEY,
      WEIR_BOOTSTRAP_KEY: KEY,
      WEIR_LINK_TOKEN: TOKEN,
      WEIR_DATABASE_URL: this.postgres.url(DATABASE),
      WEIR_SECRET_KEY: "ab".repeat(32),
    };
    await withClient(this.postgres.url("postgres"), (client) =>
      client.query(`CREATE DATABASE ${DATABASE} ENCODING 'UTF8' TEMPLATE template0`),
    );
    const dataDir = join(this.#directory, "control");
    this.#control = new OwnProcess(
      ["control", "--listen", this.#controlAddress, "--data-dir", dataDir],
      env,
    );
    for (let number = 0; number < count; number += 1) {
      this.proxies.push(new FleetProxy(number, await findFreePort(), this.#startProxy));
    }
    const control = this.#control;
    await until(
      () => `the control answers:\n${control.output}`,
      READY_MS,
      () =>
        this.admin.getSelf({}).then(
          () => true,
          () => false,
        ),
    );
    for (const proxy of this.proxies) await proxy.ready();
  }

  /** Makes the models that the vendor answers under, each by a provider of its own. */
  async createModels(names: readonly string[]): Promise<void> {
    const price = {
      inputNanoUsdPerMillion: BigInt(INPUT_NANO_USD) * 1_000_000n,
      outputNanoUsdPerMillion: BigInt(OUTPUT_NANO_USD) * 1_000_000n,
    };
    for (const name of names) {
      const provider = `providers/${name}`;
      await this.admin.createProvider({
        provider: {
          name: provider,
          dialect: "openai",
          baseUrls: [this.#vendor.baseUrl],
          prices: { "*": price },
        },
      });
      await this.admin.createModel({
        model: {
          name: `models/${name}`,
          targets: [{ provider, upstreamModel: name }],
          retriesPerTarget: 0,
        },
      });
    }
  }

  /** Makes a limit; of all models, or of one. */
  async limit(name: string, rule: Rule, model?: string): Promise<void> {
    const match = model === undefined ? {} : { models: { include: [model] } };
    await this.admin.createPolicy({ policy: { name: `policies/${name}`, match, rule } });
  }

  /** Waits until every proxy enforces what is configured. */
  async settled(): Promise<void> {
    await until("all proxies have the newest policy", READY_MS, async () => {
      const { proxies } = await this.admin.listProxies({});
      const { changes } = await this.admin.listRevisions({});
      const newest = changes.reduce(
        (most, { revision }) => (revision > most ? revision : most),
        0n,
      );
      return (
        proxies.length === this.proxies.length &&
        proxies.every(({ revision }) => revision >= newest)
      );
    });
  }

  /** The vendor's own account. */
  async readAccount(): Promise<Account> {
    return await this.#vendor.read();
  }

  /** What the ledger has booked for a policy, by proxy; read from its tables. */
  async readBooked(policy: string): Promise<Booked[]> {
    const { rows } = await this.#query(
      `SELECT proxy_id, sum(confirmed) AS confirmed, sum(forfeited) AS forfeited,
        sum(CASE closed WHEN 0 THEN greatest(granted - confirmed - returned, 0) ELSE 0 END) AS held,
        sum(CASE closed WHEN 0 THEN outstanding ELSE 0 END) AS outstanding
       FROM quota_leases WHERE bucket LIKE $1 GROUP BY proxy_id`,
      `policies/${policy}|%`,
    );
    return rows.map((row) => ({
      proxyId: String(row.proxy_id),
      confirmed: Number(row.confirmed),
      forfeited: Number(row.forfeited),
      held: Number(row.held),
      outstanding: Number(row.outstanding),
    }));
  }

  async readSums(policy: string): Promise<Sums> {
    const { rows } = await this.#query(
      `SELECT sum(spent) AS spent, sum(leased) AS leased, sum(forfeited) AS forfeited
       FROM quota_windows WHERE bucket LIKE $1`,
      `policies/${policy}|%`,
    );
    const [row] = rows;
    return {
      spent: Number(row?.spent ?? 0),
      leased: Number(row?.leased ?? 0),
      forfeited: Number(row?.forfeited ?? 0),
    };
  }

  async end(): Promise<void> {
    this.#client?.close();
    await Promise.all(this.proxies.map((proxy) => proxy.destroy()));
    await this.#control?.destroy();
    this.#vendor.end();
    await this.postgres.end();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  readonly #startProxy = ({ id, port }: FleetProxy): OwnProcess =>
    new OwnProcess(
      [
        ...["proxy", "--control", this.#controlAddress, "--proxy-id", id],
        ...["--listen", `127.0.0.1:${port}`, "--data-dir", join(this.#directory, id)],
      ],
      { WEIR_LINK_TOKEN: TOKEN },
    );

  /** Once more where a busy machine did not connect in time. */
  #query(text: string, value: string) {
    const ask = () =>
      withClient(this.postgres.url(DATABASE), (client) => client.query(text, [value]));
    return ask().catch(ask);
  }
}

/** One proxy, which may be killed and started again. */
export class FleetProxy {
  readonly number: number;
  readonly port: number;
  readonly #start: (proxy: FleetProxy) => OwnProcess;
  #process: OwnProcess;
  #kills = 0;

  constructor(number: number, port: number, start: (proxy: FleetProxy) => OwnProcess) {
    this.number = number;
    this.port = port;
    this.#start = start;
    this.#process = start(this);
  }

  get id(): string {
    return `proxy-${this.number}`;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get running(): boolean {
    return this.#process.running;
  }

  get output(): string {
    return this.#process.output;
  }

  /** How often it was killed. */
  get kills(): number {
    return this.#kills;
  }

  async ready(): Promise<void> {
    await until(
      () => `${this.id} serves:\n${this.output.slice(-3000)}`,
      READY_MS,
      () =>
        chat(this, { model: "sim/echo" }).then(
          ({ status }) => status === 200,
          () => false,
        ),
    );
  }

  /** Kill -9. */
  async kill(): Promise<void> {
    this.#kills += 1;
    await this.#process.destroy();
  }

  /** Starts it again, with what the one before left on the disk. */
  restart(): void {
    this.#process = this.#start(this);
  }

  destroy(): Promise<void> {
    return this.#process.destroy();
  }
}

/** A budget of money that each team has, once and for all. */
export function teamBudget(limit: bigint, surviveSeconds: number): Rule {
  return {
    case: "budget",
    value: {
      dimension: Dimension.NANO_USD,
      limit,
      window: { window: { case: "lifetime", value: {} } },
      per: { scope: Per_Scope.EACH_TEAM },
      survive: { seconds: BigInt(surviveSeconds) },
    },
  };
}

/** A number of requests, once and for all. */
export function requestBudget(limit: bigint, surviveSeconds = 60): Rule {
  return {
    case: "budget",
    value: {
      dimension: Dimension.REQUESTS,
      limit,
      window: { window: { case: "lifetime", value: {} } },
      survive: { seconds: BigInt(surviveSeconds) },
    },
  };
}

/** Starts a Postgres, a vendor, a control and as many proxies. To be ended by `end()`. */
export async function startFleet(proxies: number): Promise<QuotaFleet> {
  const directory = mkdtempSync(join(tmpdir(), "weir-fleet-"));
  const [postgres, vendor] = await Promise.all([startPostgres(), Vendor.start()]);
  const address = `127.0.0.1:${await findFreePort()}`;
  const fleet = new QuotaFleet(postgres, directory, vendor, address);
  try {
    await fleet.start(proxies);
    return fleet;
  } catch (error) {
    await fleet.end();
    throw error;
  }
}

class Vendor {
  readonly #child: ChildProcess;
  readonly #port: number;

  constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.#port = port;
  }

  static async start(): Promise<Vendor> {
    const script = join(import.meta.dirname, "billing-upstream.ts");
    const child = spawn(process.execPath, [script], { stdio: ["pipe", "pipe", "inherit"] });
    if (child.stdout === null) throw new Error("it has no output");
    const [line] = await once(createInterface(child.stdout), "line");
    return new Vendor(child, Number(line));
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${this.#port}/v1`;
  }

  async read(): Promise<Account> {
    const { body } = await request(`http://127.0.0.1:${this.#port}/account`);
    return (await body.json()) as Account;
  }

  end(): void {
    this.#child.stdin?.end();
  }
}
