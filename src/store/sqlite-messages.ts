import type { Lane, OperationName } from "./operations.ts";
import type { SqliteFailure } from "./sqlite-failure.ts";

/** What the thread of a lane is started with. */
export interface LaneSetup {
  readonly path: string;
  readonly lane: Lane;
  /** How long to wait for another process that is writing, in milliseconds. */
  readonly busyTimeoutMs: number;
}

/** To the thread: an operation, or the end. */
export type LaneRequest =
  | { readonly id: number; readonly name: OperationName; readonly input: unknown }
  | "close";

/** From the thread. */
export type LaneReport =
  | { readonly event: "ready" }
  | { readonly event: "unusable"; readonly failure: SqliteFailure }
  | {
      readonly event: "answers";
      readonly answers: readonly LaneAnswer[];
      /** How many transactions they took. */
      readonly transactions: number;
    };

export type LaneAnswer =
  | { readonly id: number; readonly ok: true; readonly output: unknown }
  | { readonly id: number; readonly ok: false; readonly failure: SqliteFailure };
