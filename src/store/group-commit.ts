import type { SqliteEngine } from "./sqlite-engine.ts";

/** One write: runs within the group's transaction; when it throws, only what it wrote is undone. */
export type GroupedWrite = () => Promise<unknown>;

export type WriteOutcome =
  | { readonly ok: true; readonly output: unknown }
  | { readonly ok: false; readonly error: unknown };

export interface GroupOutcome {
  /** In the order of the writes. */
  readonly outcomes: readonly WriteOutcome[];
  /** How many transactions reached the disk. */
  readonly transactions: number;
}

/**
 * Writes a group in one transaction, so that all of it costs one flush of the disk; each write in a
 * savepoint, so that it fails alone. Where SQLite gives the whole transaction up (a full disk),
 * each write is tried in one of its own. Never rejects.
 */
export async function commitGroup(
  engine: SqliteEngine,
  writes: readonly GroupedWrite[],
): Promise<GroupOutcome> {
  try {
    engine.script("BEGIN IMMEDIATE");
  } catch (error) {
    return { outcomes: writes.map(() => ({ ok: false, error })), transactions: 0 };
  }
  const outcomes: WriteOutcome[] = [];
  try {
    for (const write of writes) {
      const outcome = await tryWrite(engine, write);
      if (!engine.inTransaction) return retryAlone(engine, writes, outcome);
      outcomes.push(outcome);
    }
    engine.script("COMMIT");
    return { outcomes, transactions: 1 };
  } catch (error) {
    if (engine.inTransaction) engine.script("ROLLBACK");
    return retryAlone(engine, writes, { ok: false, error });
  }
}

async function tryWrite(engine: SqliteEngine, write: GroupedWrite): Promise<WriteOutcome> {
  engine.script("SAVEPOINT one_write");
  try {
    const output = await write();
    engine.script("RELEASE one_write");
    return { ok: true, output };
  } catch (error) {
    if (engine.inTransaction) engine.script("ROLLBACK TO one_write; RELEASE one_write");
    return { ok: false, error };
  }
}

/**
 * Nothing of the group is on disk: begins anew, each alone. A single write has nobody to be kept
 * apart from.
 */
async function retryAlone(
  engine: SqliteEngine,
  writes: readonly GroupedWrite[],
  failure: WriteOutcome,
): Promise<GroupOutcome> {
  if (writes.length === 1) return { outcomes: [failure], transactions: 0 };
  const outcomes: WriteOutcome[] = [];
  let transactions = 0;
  for (const write of writes) {
    const alone = await commitGroup(engine, [write]);
    outcomes.push(...alone.outcomes);
    transactions += alone.transactions;
  }
  return { outcomes, transactions };
}
