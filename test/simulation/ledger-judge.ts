import type { QuotaReportInput } from "../../src/store/quota-report.ts";
import { readInteger, readText } from "../../src/store/sql-session.ts";
import type { SqliteEngine } from "../../src/store/sqlite-engine.ts";
import type { Observer } from "./observer.ts";

export interface LedgerJudgeParts {
  readonly observer: Observer;
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
    const terms = readTerms(input);
    for (const [bucket, windows] of readWindows(session)) {
      const ceiling = terms?.get(bucket)?.amount ?? 0;
      for (const each of windows) this.#judgeWindow(bucket, each, { windows, ceiling });
    }
    this.#judgeLeases(session);
  }

  #judgeWindow(
    bucket: string,
    row: LedgerWindow,
    { windows, ceiling }: { readonly windows: readonly LedgerWindow[]; readonly ceiling: number },
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
    if (used > allowed + beyond) onViolation(`ledger: ${text}, used ${used} of ${allowed}`);
    const key = `${bucket}@${startMs}`;
    const before = this.#before.get(key) ?? 0;
    this.#before.set(key, used);
    // What the control took to be the ceiling then: a grant must have respected it.
    if (used <= before || limit.kind === "rate" || beyond > 0) return;
    if (used > ceiling) onViolation(`ledger: ${text}, grew from ${before} over ${ceiling}`);
  }

  /** What a window has leased is what its leases hold. */
  #judgeLeases(session: SqliteEngine): void {
    const rows = session.rows(
      `SELECT w.bucket, w.window_start_ms, w.leased,
         (SELECT COALESCE(SUM(MAX(0, granted - confirmed - returned)), 0) FROM quota_leases l
          WHERE l.bucket = w.bucket AND l.window_start_ms = w.window_start_ms AND closed = 0) AS held
       FROM quota_windows w`,
    );
    for (const row of rows) {
      if (readInteger(row, "leased") === readInteger(row, "held")) continue;
      this.#parts.onViolation(`ledger: ${JSON.stringify(row)} does not add up`);
    }
  }
}

export interface LedgerWindow {
  readonly startMs: number;
  readonly spent: number;
  readonly leased: number;
  readonly forfeited: number;
}

function readTerms(input: unknown): QuotaReportInput["terms"] | undefined {
  return (input as QuotaReportInput | undefined)?.terms;
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
