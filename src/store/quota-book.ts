import type { TimeWindow } from "../mesh/window.ts";
import type { BucketRow, LeaseRow, WindowRow } from "./quota-rows.ts";
import { saveBuckets, saveLeases, saveWindows } from "./quota-rows.ts";
import type { SqlSession } from "./sql-session.ts";

/**
 * The rows that one report touches, in memory, while the locks of its buckets are held. What is
 * changed is marked and saved at the end.
 */
export class QuotaBook {
  readonly #proxyId: string;
  readonly #pages = new Map<string, Page>();
  readonly #leases = new Map<string, LeaseRow>();
  readonly #changed = new Set<BucketRow | WindowRow | LeaseRow>();

  /** `proxyId` names the proxy whose report it is. */
  constructor(proxyId: string) {
    this.#proxyId = proxyId;
  }

  /** Takes rows in. What is in the book already stays: it is newer than its table. */
  addBucket(row: BucketRow, current: TimeWindow | undefined): void {
    this.#pages.set(row.bucket, { row, current, windows: new Map() });
  }

  addWindow(row: WindowRow): WindowRow {
    const windows = this.#pages.get(row.bucket)?.windows;
    const known = windows?.get(row.startMs);
    if (known !== undefined) return known;
    windows?.set(row.startMs, row);
    return row;
  }

  addLease(row: LeaseRow): LeaseRow {
    const key = nameLease(row);
    const known = this.#leases.get(key);
    if (known !== undefined) return known;
    this.#leases.set(key, row);
    return row;
  }

  bucket(name: string): BucketRow | undefined {
    return this.#pages.get(name)?.row;
  }

  buckets(): BucketRow[] {
    return [...this.#pages.values()].map(({ row }) => row);
  }

  /** The window that is now; undefined where the limit is gone. */
  currentOf(bucket: string): TimeWindow | undefined {
    return this.#pages.get(bucket)?.current;
  }

  window(bucket: string, startMs: number): WindowRow | undefined {
    return this.#pages.get(bucket)?.windows.get(startMs);
  }

  /** What is spent, held and forfeited in the windows from a moment on. */
  usedFrom(bucket: string, horizonMs: number): number {
    let used = 0;
    for (const window of this.#pages.get(bucket)?.windows.values() ?? []) {
      if (window.startMs >= horizonMs) used += window.spent + window.leased + window.forfeited;
    }
    return used;
  }

  /** What is spent and forfeited in the windows from a moment on. */
  spentFrom(bucket: string, horizonMs: number): number {
    let spent = 0;
    for (const window of this.#pages.get(bucket)?.windows.values() ?? []) {
      if (window.startMs >= horizonMs) spent += window.spent + window.forfeited;
    }
    return spent;
  }

  /** A lease of the proxy whose report it is, or of another. */
  lease(
    bucket: string,
    startMs: number,
    epoch: number,
    proxyId = this.#proxyId,
  ): LeaseRow | undefined {
    return this.#leases.get(nameLease({ bucket, startMs, epoch, proxyId }));
  }

  leases(): LeaseRow[] {
    return [...this.#leases.values()];
  }

  change(...rows: readonly (BucketRow | WindowRow | LeaseRow)[]): void {
    for (const row of rows) this.#changed.add(row);
  }

  listChangedWindows(): WindowRow[] {
    return this.#listChanged(this.#listWindows());
  }

  async save(session: SqlSession): Promise<void> {
    await saveBuckets(session, this.#listChanged(this.buckets()));
    await saveWindows(session, this.listChangedWindows());
    await saveLeases(session, this.#listChanged(this.leases()));
  }

  #listWindows(): WindowRow[] {
    return [...this.#pages.values()].flatMap(({ windows }) => [...windows.values()]);
  }

  #listChanged<T extends BucketRow | WindowRow | LeaseRow>(rows: readonly T[]): T[] {
    return rows.filter((row) => this.#changed.has(row));
  }
}

/** Several proxies of a machine often begin in the same second: their epochs are the same. */
function nameLease(key: Pick<LeaseRow, "bucket" | "startMs" | "epoch" | "proxyId">): string {
  return `${key.epoch} ${key.startMs} ${key.proxyId} ${key.bucket}`;
}

interface Page {
  readonly row: BucketRow;
  readonly current: TimeWindow | undefined;
  readonly windows: Map<number, WindowRow>;
}
