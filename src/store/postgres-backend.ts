import pg from "pg";
import type { Clock } from "../mesh/clock.ts";
import { LaneGate } from "./lane-gate.ts";
import type {
  Lane,
  OperationInput,
  OperationName,
  OperationOutput,
  SqlBackend,
} from "./operations.ts";
import { operationLanes, operations } from "./operations.ts";
import { describePostgresFailure, isCollision, isLostConnection } from "./postgres-failure.ts";
import { exactTypes, PostgresSession } from "./postgres-session.ts";
import type { PostgresUrl } from "./postgres-url.ts";
import type { SqlSession } from "./sql-session.ts";
import { StoreError } from "./store.ts";

/** How many operations of a lane run at a time, each on a connection of its own. */
const PLACES = { write: 4, quota: 4, read: 4, scan: 2 } as const;
const CONNECT_MS = 10_000;
const IDLE_MS = 30_000;
/** A process that stops in the middle of a transaction holds the others up no longer than this. */
const FORSAKEN_MS = 60_000;
/** How often an operation is tried that ran into another. */
const TRIES_MAX = 5;
/** How often one is tried whose connection was lost: several idle ones may be dead at once. */
const CONNECTIONS_MAX = 3;

/** The channel on which commits are told of. */
export const COMMITS_CHANNEL = "weir_commits";

/** Whoever changes the schema holds this: "weir" in ASCII. */
export const SCHEMA_LOCK = 0x77656972;

/** How long things may take, in milliseconds: one statement of a kind, and closing. */
export interface StoreLimits {
  readonly writeMs: number;
  readonly readMs: number;
  readonly scanMs: number;
  readonly migrateMs: number;
  /** What has not ended by then is broken off. */
  readonly closeMs: number;
}

export interface PostgresBackendOptions {
  readonly url: PostgresUrl;
  readonly clock: Clock;
  readonly limits: StoreLimits;
}

/** Runs operations on a bounded pool of connections, each in a transaction of its own. */
export class PostgresBackend implements SqlBackend {
  readonly #url: PostgresUrl;
  readonly #clock: Clock;
  readonly #limits: StoreLimits;
  readonly #pool: pg.Pool;
  readonly #gates: Readonly<Record<Lane | "quota", LaneGate>> = {
    write: new LaneGate(PLACES.write),
    quota: new LaneGate(PLACES.quota),
    read: new LaneGate(PLACES.read),
    scan: new LaneGate(PLACES.scan),
  };
  readonly #running = new Set<Promise<unknown>>();
  readonly #clients = new Set<pg.PoolClient>();
  #closed = false;
  #abandoned = false;

  constructor({ url, clock, limits }: PostgresBackendOptions) {
    this.#url = url;
    this.#clock = clock;
    this.#limits = limits;
    this.#pool = new pg.Pool({
      ...createClientConfig(url),
      max: PLACES.write + PLACES.quota + PLACES.read + PLACES.scan,
      idleTimeoutMillis: IDLE_MS,
      allowExitOnIdle: true,
      pipeline: true,
    });
    // A connection that breaks says so to its operation, or is replaced when the next one comes;
    // without a listener the process would end.
    this.#pool.on("error", ignore);
    this.#pool.on("connect", (client) => client.on("error", ignore));
  }

  run<K extends OperationName>(name: K, input: OperationInput<K>): Promise<OperationOutput<K>> {
    return this.transact(name, (session) => runOperation(session, name, input));
  }

  /**
   * Runs what an operation of this name may do, as that operation is run. Rejects with StoreError.
   */
  transact<T>(name: OperationName, work: (session: SqlSession) => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new StoreError("The store is closed."));
    // Callers wait for what a report is granted, and reports for one another: neither shall wait
    // for records that catch up, nor policies for reports.
    const gate = this.#gates[name === "reportQuota" ? "quota" : operationLanes[name]];
    const running = gate.run(() => this.#try(name, work));
    this.#running.add(running);
    const done = () => this.#running.delete(running);
    running.then(done, done);
    return running;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // A server that no longer answers must not keep this process from ending.
    const guard = this.#clock.after(this.#limits.closeMs, () => {
      this.#abandoned = true;
      for (const client of this.#clients) client.connection.stream.destroy();
    });
    await Promise.allSettled(this.#running);
    guard.cancel();
    await this.#pool.end();
  }

  async #try<T>(name: OperationName, work: (session: SqlSession) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#attempt(name, work);
      } catch (thrown) {
        if (isCollision(thrown) && tries < TRIES_MAX) continue;
        if (thrown instanceof BrokenOff && tries < CONNECTIONS_MAX) continue;
        const cause = thrown instanceof BrokenOff ? thrown.cause : thrown;
        throw describePostgresFailure(cause, this.#url.label);
      }
    }
  }

  async #attempt<T>(name: OperationName, work: (session: SqlSession) => Promise<T>): Promise<T> {
    if (this.#abandoned) throw new StoreError("The store is closed.");
    const { begin, limitMs } = this.#plan(name);
    const client = await this.#pool.connect();
    if (this.#abandoned) {
      // The connection came too late to be broken off with the others.
      client.release(true);
      throw new StoreError("The store is closed.");
    }
    this.#clients.add(client);
    // A statement that takes too long is ended by the server; a server that does not answer at all,
    // by this.
    let silent = false;
    const guard = this.#clock.after(limitMs * 2 + CONNECT_MS, () => {
      silent = true;
      client.connection.stream.destroy();
    });
    let committing = false;
    let broken = false;
    try {
      // Waited for: behind a BEGIN that failed, each statement would be a transaction of its own.
      await client.query(begin);
      const output = await work(new PostgresSession(client));
      committing = true;
      await client.query("COMMIT");
      return output;
    } catch (thrown) {
      broken = isLostConnection(thrown) || !(await isRolledBack(client));
      if (!isLostConnection(thrown)) throw thrown;
      if (committing && !repeatable.has(name)) throw this.#createUnknownOutcome(thrown);
      throw silent ? thrown : new BrokenOff(thrown);
    } finally {
      guard.cancel();
      this.#clients.delete(client);
      client.release(broken);
    }
  }

  /** What begins the transaction of an operation; all of it in one message. */
  #plan(name: OperationName): { readonly begin: string; readonly limitMs: number } {
    const { writeMs, readMs, scanMs, migrateMs } = this.#limits;
    // Within the transaction: a pooler in between takes no settings of a connection.
    const limit = (ms: number) =>
      `SET LOCAL statement_timeout = ${ms}; ` +
      `SET LOCAL idle_in_transaction_session_timeout = ${FORSAKEN_MS}`;
    const lane = operationLanes[name];
    if (lane === "write") {
      const limitMs = name === "migrate" ? migrateMs : writeMs;
      const alone = `SELECT pg_advisory_xact_lock(${SCHEMA_LOCK})`;
      const parts = [BEGIN_WRITE, limit(limitMs), ...(name === "migrate" ? [alone] : [])];
      return { begin: parts.join("; "), limitMs };
    }
    const limitMs = lane === "scan" ? scanMs : readMs;
    return { begin: `${BEGIN_READ}; ${limit(limitMs)}`, limitMs };
  }

  #createUnknownOutcome(thrown: unknown): StoreError {
    return new StoreError(
      `The connection to the store ${this.#url.label} was lost while it was written to; whether ` +
        "the write was kept is unknown: read before writing again.",
      new Error(thrown instanceof Error ? thrown.message : String(thrown)),
    );
  }
}

/** What every connection of Weir's is made with. What the address says wins. */
export function createClientConfig({ connection }: PostgresUrl): pg.ClientConfig {
  return {
    connectionString: connection,
    fallback_application_name: "weir",
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: CONNECT_MS,
    types: exactTypes,
  };
}

/**
 * A commit is on the disk when it returns, even where the server's default is otherwise. Each
 * statement sees what was committed before it: behind the lock of the counters, everything.
 */
const BEGIN_WRITE =
  "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; " +
  "SELECT set_config('synchronous_commit', 'on', true) " +
  "WHERE current_setting('synchronous_commit') = 'off'";

/** All statements see one state. */
const BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/** What may be done once more although nobody knows whether it was done: the same comes of it. */
const repeatable: ReadonlySet<OperationName> = new Set<OperationName>([
  ...(["migrate", "install", "append", "raiseAlerts", "finishDelivery", "listAlerts"] as const),
  ...(["revision", "readAll", "get", "list", "findSecret", "changesSince", "history"] as const),
  ...(["getAt", "record", "lastUsed", "status", "recent", "usage", "quotaStatus"] as const),
  ...(["recalledQuota", "quotaSuspension"] as const),
]);

/** The connection was lost, and the operation may be tried on another. */
class BrokenOff extends Error {
  constructor(cause: unknown) {
    super("the connection was lost", { cause });
  }
}

/** Runs an operation; a commit tells all who listen, at the moment when it can be seen. */
async function runOperation<K extends OperationName>(
  session: SqlSession,
  name: K,
  input: OperationInput<K>,
): Promise<OperationOutput<K>> {
  // The compiler does not see that the operation of a name takes and returns what that name does.
  const operation = operations[name] as unknown as Operation<K>;
  const output = await operation(session, input);
  if (name === "commit") await session.rows("SELECT pg_notify($1, '')", [COMMITS_CHANNEL]);
  return output;
}

type Operation<K extends OperationName> = (
  session: SqlSession,
  input: OperationInput<K>,
) => Promise<OperationOutput<K>>;

async function isRolledBack(client: pg.PoolClient): Promise<boolean> {
  try {
    await client.query("ROLLBACK");
    return true;
  } catch {
    return false;
  }
}

function ignore(): void {}
