import type { QuotaReportInput } from "../../src/store/quota-report.ts";
import { readInteger, readText } from "../../src/store/sql-session.ts";
import type { SqliteEngine } from "../../src/store/sqlite-engine.ts";
import type { Observer } from "./observer.ts";

export interface LedgerJudgeParts {
  readonly observer: Observer;
  /** True where disks fill up. */
  readonly disksFail: boolean;
  readonly onViolation: (text: string) => void;
}

/** Looks at the ledger's rows after each transaction. */
export class LedgerJudge {
  readonly #parts: LedgerJudgeParts;
  readonly #before = new Map<string, number>();

  constructor(parts: LedgerJudgeParts) {
    this.#parts = parts;
  }

  judge(input: unknown, session: SqliteEngine): void {
    const { terms, confessions } = input as QuotaReportInput;
    for (const [bucket, windows] of readWindows(session)) {
      const ceiling = terms.get(bucket)?.amount ?? 0;
      for (const each of windows)
        this.#judgeWindow(bucket, each, { windows, ceiling, confessed: confessions.length > 0 });
    }
  }

  #judgeWindow(
    bucket: string,
    row: LedgerWindow,
    { windows, ceiling, confessed }: Transaction,
  ): void {
    const { observer, onViolation } = this.#parts;
    const { startMs, spent, leased, forfeited } = row;
    const text = `${bucket}@${startMs} spent ${spent} leased ${leased} forfeited ${forfeited}`;
    if (spent < 0 || leased < 0 || forfeited < 0) onViolation(`ledger: ${text} is below zero`);
    const limit = observer.limitOf(bucket);
    if (limit === undefined) return;
    const rolls = limit.window?.kind === "rolling" && limit.window.days > 1;
    const counted = rolls ? windows.filter((each) => each.startMs <= startMs) : [row];
    const used = counted.reduce((sum, each) => sum + sumOf(each), 0);
    const allowed = limit.kind === "rate" ? 1_000_000 : observer.ceilingOf(bucket);
    const beyond = observer.unprovenOf(bucket);
    // A mark that could not be lowered, since the disk was full, costs more than was held.
    const marked = this.#parts.disksFail ? forfeited : 0;
    if (used > allowed + beyond + marked)
      onViolation(`ledger: ${text}, used ${used} of ${allowed}`);
    const key = `${bucket}@${startMs}`;
    const before = this.#before.get(key) ?? 0;
    this.#before.set(key, used);
    // What the control took to be the ceiling then: a grant must have respected it.
    if (used <= before || limit.kind === "rate" || beyond > 0 || confessed) return;
    if (used > ceiling) onViolation(`ledger: ${text}, grew from ${before} over ${ceiling}`);
  }
}

export interface LedgerWindow {
  readonly startMs: number;
  readonly spent: number;
  readonly leased: number;
  readonly forfeited: number;
}

interface Transaction {
  /** The bucket's. */
  readonly windows: readonly LedgerWindow[];
  readonly ceiling: number;
  /** True when it forfeits what a crash may have spent. */
  readonly confessed: boolean;
}

/** The ledger's windows by bucket, the oldest first. */
export function readWindows(session: SqliteEngine): ReadonlyMap<string, readonly LedgerWindow[]> {
  const found = new Map<string, LedgerWindow[]>();
  const rows = session.rows(
    `SELECT bucket, window_start_ms, spent, leased, forfeited FROM quota_windows
     ORDER BY bucket, window_start_ms`,
  );
  for (const row of rows) {
    const bucket = readText(row, "bucket");
    const windows = found.get(bucket) ?? [];
    found.set(bucket, windows);
    windows.push({
      startMs: readInteger(row, "window_start_ms"),
      spent: readInteger(row, "spent"),
      leased: readInteger(row, "leased"),
      forfeited: readInteger(row, "forfeited"),
    });
  }
  return found;
}

function sumOf({ spent, leased, forfeited }: LedgerWindow): number {
  return spent + leased + forfeited;
}

/** A bucket's leases that hold something, for people. */
export function listLeases(session: SqliteEngine, bucket: string): readonly string[] {
  const rows = session.rows(
    `SELECT * FROM quota_leases WHERE bucket = $1 AND closed = 0
       AND granted > confirmed + returned`,
    [bucket],
  );
  return rows.map((row) => `lease ${JSON.stringify(row)}`);
}
