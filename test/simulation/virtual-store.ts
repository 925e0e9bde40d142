import type {
  OperationInput,
  OperationName,
  OperationOutput,
  SqlBackend,
} from "../../src/store/operations.ts";
import { operationLanes, operations } from "../../src/store/operations.ts";

import type { SqlSession } from "../../src/store/sql-session.ts";
import { SqliteEngine } from "../../src/store/sqlite-engine.ts";
import { StoreError } from "../../src/store/store.ts";
import type { Chance } from "./chance.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** What may go wrong between a control and its store. */
export interface StoreFaults {
  /** How long an operation takes, each way, on average. */
  readonly delayMs: number;
  /** How often one fails and leaves nothing. */
  readonly failBefore: number;
  /** How often one is kept and its answer lost. */
  readonly failAfter: number;
}

/** Told of each transaction that is committed, before anything else happens. */
export type CommitListener = (name: OperationName, input: unknown) => void;

/**
 * A real database in memory, which all controls share, behind a wire that is slow, fails before or
 * after the commit, and hangs during an outage.
 */
export class VirtualStore {
  readonly engine = new SqliteEngine(":memory:", { readOnly: false, busyTimeoutMs: 0 });
  readonly #time: VirtualTime;
  readonly #chance: Chance;
  readonly #held: (() => void)[] = [];
  /** What its own clock shows; undefined where it has none of its own. */
  clockMs: (() => number) | undefined;
  faults: StoreFaults = { delayMs: 0, failBefore: 0, failAfter: 0 };
  onCommit: CommitListener = () => undefined;
  #out: "no" | "refuses" | "hangs" = "no";
  #busy = false;

  constructor(time: VirtualTime, chance: Chance) {
    this.#time = time;
    this.#chance = chance;
    this.engine.script("PRAGMA synchronous = OFF");
  }

  /** An outage begins: operations are refused, or hang until it ends. */
  fail(how: "refuses" | "hangs"): void {
    this.#out = how;
  }

  heal(): void {
    this.#out = "no";
    for (const run of this.#held.splice(0)) this.#time.schedule(this.#delay(), run);
  }

  /** The store as one process of a control sees it; a process that has ended hears nothing. */
  connect(isAlive: () => boolean): SqlBackend {
    return {
      run: (name, input) => this.#run(name, structuredClone(input), isAlive),
      close: () => Promise.resolve(),
    };
  }

  close(): void {
    this.engine.close();
  }

  #run<K extends OperationName>(
    name: K,
    input: OperationInput<K>,
    isAlive: () => boolean,
  ): Promise<OperationOutput<K>> {
    return new Promise((resolve, reject) => {
      const refuse = (text: string) => {
        this.#time.schedule(this.#delay(), () => {
          if (isAlive()) reject(new StoreError(text));
        });
      };
      const attempt = () => {
        if (this.#out === "refuses") return refuse("The store refuses connections.");
        if (this.#out === "hangs") return void this.#held.push(attempt);
        // What a process has sent before it died may or may not have left it.
        if (!isAlive() && this.#chance.happens(0.5)) return;
        const keeps = !this.#chance.happens(this.faults.failBefore);
        const answers = !this.#chance.happens(this.faults.failAfter);
        this.#transact(name, input, keeps).then(
          (output) => {
            if (!answers) return refuse("The store's answer was lost.");
            this.#time.schedule(this.#delay(), () => {
              if (isAlive()) resolve(structuredClone(output));
            });
          },
          (error: unknown) => refuse(error instanceof Error ? error.message : String(error)),
        );
      };
      this.#time.schedule(this.#delay(), attempt);
    });
  }

  /** Takes no time of the world: the engine answers at once, so that no two ever overlap. */
  async #transact<K extends OperationName>(
    name: K,
    input: OperationInput<K>,
    keeps: boolean,
  ): Promise<OperationOutput<K>> {
    if (this.#busy) throw new Error("a transaction took more than one turn");
    this.#busy = true;
    try {
      if (operationLanes[name] === "write") this.engine.script("BEGIN IMMEDIATE");
      const operation = (operations as Record<OperationName, Operation>)[name];
      const output = (await operation(this.#session(), input)) as OperationOutput<K>;
      if (!keeps) throw new StoreError("The store failed before the commit.");
      if (this.engine.inTransaction) this.engine.script("COMMIT");
      this.onCommit(name, input);
      return output;
    } finally {
      if (this.engine.inTransaction) this.engine.script("ROLLBACK");
      this.#busy = false;
    }
  }

  #session(): SqlSession {
    const { engine, clockMs } = this;
    if (clockMs === undefined) return engine;
    return {
      rows: (sql, values = []) => {
        // As a value, so that a statement need not be prepared anew for each millisecond.
        if (!sql.includes(CLOCK_SQL)) return engine.rows(sql, values);
        const timed = sql.replaceAll(CLOCK_SQL, `$${values.length + 1}`);
        return engine.rows(timed, [...values, clockMs()]);
      },
      run: (sql, values) => engine.run(sql, values),
      runEach: (sql, sets) => engine.runEach(sql, sets),
      script: (sql) => engine.script(sql),
      hasTable: (name) => engine.hasTable(name),
      clockSql: CLOCK_SQL,
    };
  }

  #delay(): number {
    return this.#chance.wait(this.faults.delayMs);
  }
}

const CLOCK_SQL = "clock_of_the_server()";

type Operation = (session: SqlSession, input: unknown) => unknown;
