import { readResultCode } from "./sqlite-engine.ts";
import { StoreError } from "./store.ts";

/** An error as it crosses threads. */
export interface SqliteFailure {
  /** Says what to do. */
  readonly message: string;
  /** What SQLite itself said; for the log. */
  readonly detail: string;
}

/** Puts what SQLite reports into words that say who must do what. */
export function describeFailure(error: unknown, path: string): SqliteFailure {
  const detail = error instanceof Error ? error.message : String(error);
  if (error instanceof StoreError) return { message: detail, detail };
  const code = readResultCode(error);
  const known = code === undefined ? undefined : advice.get(code);
  if (known !== undefined) return { message: known(path), detail };
  if (code === 1 && detail.includes("no such table")) {
    return { message: `The store ${path} has no schema yet: migrate it first.`, detail };
  }
  return { message: `The store ${path} failed: ${detail}.`, detail };
}

export function createStoreError(failure: SqliteFailure): StoreError {
  const cause = failure.detail === failure.message ? undefined : new Error(failure.detail);
  return new StoreError(failure.message, cause);
}

/** By SQLite's primary result code. */
const advice: ReadonlyMap<number, (path: string) => string> = new Map([
  [5, locked],
  [6, locked],
  [
    8,
    (path) =>
      `The store ${path} cannot be written: give this process's user write permission on the ` +
      "file and its directory.",
  ],
  [
    10,
    (path) =>
      `The disk that holds the store ${path} reports an error: look at the system log, and ` +
      "restore a backup onto another disk.",
  ],
  [11, damaged],
  [
    13,
    (path) =>
      `The disk that holds the store ${path} is full: free some space there; nothing was written.`,
  ],
  [
    14,
    (path) =>
      `The store ${path} cannot be opened: check that it is a file and that this process's user ` +
      "may write to its directory.",
  ],
  [
    19,
    (path) =>
      `The store ${path} refused the write, which contradicts what it holds: nothing was written.`,
  ],
  [26, damaged],
]);

function locked(path: string): string {
  return (
    `The store ${path} is locked by another process: stop what holds it (a backup, a second ` +
    "Weir, a database browser), then try again."
  );
}

function damaged(path: string): string {
  return (
    `The store ${path} is damaged or is no Weir database: move it away and restore a backup, ` +
    "or name another file."
  );
}
