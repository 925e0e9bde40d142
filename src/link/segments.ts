import { join } from "node:path";
import type { Disk } from "./disk.ts";
import { type FrameLimits, splitFrames } from "./frame.ts";
import type { LinkLog } from "./log.ts";

/** A place in the journal: all before it, in all segments, comes earlier. */
export interface JournalPosition {
  readonly segment: number;
  readonly offset: number;
}

/** The begin of every journal. */
export const journalBegin: JournalPosition = { segment: 0, offset: 0 };

/** A piece of the journal: a file, or bytes that no file would take. */
export interface Segment {
  /** Rising; the order in which segments are read. */
  readonly id: number;
  /** Undefined while it is in memory only. */
  readonly path: string | undefined;
  readonly memory: Buffer | undefined;
  /** How many records a segment in memory has. */
  readonly records: number;
  /** How far it may be read. */
  size: number;
  /** True when nothing will be appended. Readers go past a segment only then. */
  sealed: boolean;
  /** True when the file could not be read; it is left in place for somebody to look at. */
  unreadable: boolean;
}

/** Encoded records, and the place behind them. */
export interface JournalBatch {
  readonly records: readonly Buffer[];
  readonly next: JournalPosition;
  /** The system was short of something: there may be more, to be read in a moment. */
  readonly blocked?: true;
}

/** What segments need of their surroundings. */
export interface SegmentsOptions {
  readonly directory: string;
  readonly disk: Disk;
  readonly log: LinkLog;
  /** Most bytes to keep in memory while the disk fails; beyond, the oldest records are lost. */
  readonly memoryBytesMax: number;
}

/**
 * The segments of a journal in their order: read at the front, dropped when committed, added at the
 * end.
 */
export class Segments {
  readonly #options: SegmentsOptions;
  #list: Segment[] = [];
  #nextId = 1;
  #nextName = 1;
  #memoryBytes = 0;
  readonly #removing = new Set<Promise<void>>();
  #committed = journalBegin;
  /** Records that were lost because neither disk nor memory had room for them. */
  dropped = 0;
  /** Bytes that were no records any more. */
  damagedBytes = 0;

  constructor(options: SegmentsOptions) {
    this.#options = options;
  }

  get committedUpTo(): JournalPosition {
    return this.#committed;
  }

  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  /** Bytes that are not committed yet. */
  get pendingBytes(): number {
    let sum = 0;
    for (const segment of this.#list) sum += segment.size;
    const first = this.#list[0];
    return first?.id === this.#committed.segment ? sum - this.#committed.offset : sum;
  }

  /** Files that could not be read, by name. */
  get unreadable(): readonly string[] {
    return this.#list.flatMap((one) => (one.unreadable ? [one.path ?? "memory"] : []));
  }

  /** The path for a new file. */
  name(): string {
    const number = String(this.#nextName++).padStart(12, "0");
    return join(this.#options.directory, `${number}.journal`);
  }

  /** Files with names up to this number are there already. */
  skipNames(number: number): void {
    this.#nextName = Math.max(this.#nextName, number + 1);
  }

  /**
   * Adds a file behind all that is there now. Its number in that order is not that of its name:
   * while a file was being opened, others may have come, and a reader that has passed them would
   * never look back.
   */
  addFile(path: string, size: number): Segment {
    return this.#add({ path, memory: undefined, records: 0, size, sealed: false });
  }

  /** Keeps frames in memory, in place of the oldest there if there is no more room. */
  addMemory(bytes: Buffer, records: number): void {
    this.#add({
      path: undefined,
      memory: bytes,
      records,
      size: bytes.length,
      sealed: true,
    });
    this.#memoryBytes += bytes.length;
    while (this.#memoryBytes > this.#options.memoryBytesMax) {
      const oldest = this.memorySegments()[0];
      if (oldest === undefined) break;
      this.dropped += oldest.records;
      this.forget([oldest]);
    }
  }

  memorySegments(): readonly Segment[] {
    return this.#memoryBytes === 0 ? [] : this.#list.filter((one) => one.memory !== undefined);
  }

  /** Forgets segments: they are somewhere else now, or lost. Files stay. */
  forget(segments: readonly Segment[]): void {
    const gone = new Set(segments);
    for (const segment of gone) {
      if (segment.memory !== undefined && this.#list.includes(segment)) {
        this.#memoryBytes -= segment.size;
      }
    }
    this.#list = this.#list.filter((one) => !gone.has(one));
  }

  /** Removes a segment that nothing was written to. */
  discard(segment: Segment): void {
    this.forget([segment]);
    this.#removeFile(segment);
  }

  /** Resolves when all files that are to go are gone: the directory may have another owner then. */
  async removed(): Promise<void> {
    await Promise.all(this.#removing);
  }

  /** Reads on from a place; no records means that there is nothing new. */
  async read(after: JournalPosition, limits: FrameLimits): Promise<JournalBatch> {
    let place = after;
    for (;;) {
      const segment = this.#list.find((one) => one.id >= place.segment);
      if (segment === undefined) return { records: [], next: place };
      if (segment.id !== place.segment) place = { segment: segment.id, offset: 0 };
      if (place.offset >= segment.size || segment.unreadable) {
        if (!segment.sealed) return { records: [], next: place };
        place = { segment: segment.id + 1, offset: 0 };
        continue;
      }
      const batch = await this.#readSegment(segment, place.offset, limits);
      if (batch === undefined) continue;
      if (batch === "blocked") return { records: [], next: place, blocked: true };
      place = batch.next;
      if (batch.records.length > 0) return batch;
    }
  }

  /** All before a place is safe elsewhere: what lies wholly before it is removed. */
  committed(upTo: JournalPosition): void {
    this.#committed = upTo;
    const gone = this.#list.filter(
      (one) =>
        one.sealed &&
        !one.unreadable &&
        (one.id < upTo.segment || (one.id === upTo.segment && upTo.offset >= one.size)),
    );
    if (gone.length === 0) return;
    this.forget(gone);
    for (const segment of gone) this.#removeFile(segment);
  }

  #add(segment: Omit<Segment, "id" | "unreadable">): Segment {
    const added = { ...segment, id: this.#nextId++, unreadable: false };
    this.#list.push(added);
    return added;
  }

  async #readSegment(
    segment: Segment,
    offset: number,
    limits: FrameLimits,
  ): Promise<JournalBatch | "blocked" | undefined> {
    for (let stretch = STRETCH_BYTES; ; stretch *= 2) {
      const size = Math.min(stretch, segment.size - offset);
      const atEnd = offset + size >= segment.size;
      const bytes = await this.#load(segment, offset, size);
      if (bytes === undefined || bytes === "blocked") return bytes;
      const split = splitFrames(bytes, limits, atEnd);
      if (split.consumed === 0 && !atEnd) continue;
      if (split.damaged > 0) this.#noteDamage(segment, split.damaged);
      const next = { segment: segment.id, offset: offset + split.consumed };
      return { records: split.payloads, next };
    }
  }

  async #load(
    segment: Segment,
    offset: number,
    size: number,
  ): Promise<Buffer | "blocked" | undefined> {
    if (segment.memory !== undefined) return segment.memory.subarray(offset, offset + size);
    try {
      const bytes = await this.#options.disk.read(segment.path ?? "", offset, size);
      if (bytes.length === size) return bytes;
      throw new Error(`it ends at ${offset + bytes.length} instead of ${segment.size} bytes`);
    } catch (error) {
      // Too many connections leave no descriptor to read with: that passes, and the file is sound.
      if (isShortage(error)) return "blocked";
      // One bad place must not keep all later records from the ledger.
      segment.unreadable = true;
      segment.sealed = true;
      this.#options.log.warn({ error, path: segment.path }, "a journal file cannot be read");
      return undefined;
    }
  }

  #noteDamage(segment: Segment, damaged: number): void {
    this.damagedBytes += damaged;
    this.#options.log.warn(
      { path: segment.path, bytes: damaged },
      "a journal file has bytes that are no records; a kill during a write leaves such an end",
    );
  }

  #removeFile(segment: Segment): void {
    const { path } = segment;
    if (path === undefined) return;
    const removing = this.#options.disk
      .remove(path)
      .catch((error: unknown) => {
        // It stays, is sent again after the next start, and the ledger leaves out what it has.
        this.#options.log.warn({ error, path }, "a journal file cannot be removed");
      })
      .finally(() => this.#removing.delete(removing));
    this.#removing.add(removing);
  }
}

const shortages: ReadonlySet<unknown> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EAGAIN"]);

function isShortage(error: unknown): boolean {
  return error instanceof Error && "code" in error && shortages.has(error.code);
}

const STRETCH_BYTES = 256 * 1024;
