import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import type { Clock } from "../mesh/clock.ts";
import { lockDirectory } from "./directory-lock.ts";
import { createSystemDisk, type Disk } from "./disk.ts";
import { raiseEpoch } from "./epoch.ts";
import type { FrameLimits } from "./frame.ts";
import { JournalWriter } from "./journal-writer.ts";
import type { LinkLog } from "./log.ts";
import { type JournalBatch, type JournalPosition, Segments } from "./segments.ts";

/** A proxy's records of usage, on its own disk until the ledger has them. */
export interface Journal {
  /** The number of this start, higher than that of every start before. */
  readonly epoch: number;
  /**
   * Takes a record and writes this proxy's name into it. Resolves when it would survive a kill -9
   * of this process. Never rejects: when the disk fails or takes longer than a second, the record
   * is kept in memory and `fault` says so.
   */
  note(record: RequestRecord): Promise<void>;
  /** Reads encoded records from a place on; none means that there is nothing new. */
  read(after: JournalPosition, limits: FrameLimits): Promise<JournalBatch>;
  /** All before a place is in the ledger and may be forgotten. */
  committed(upTo: JournalPosition): void;
  /** Where to begin after a connection was lost. */
  readonly committedUpTo: JournalPosition;
  /** Calls `listener` when there may be something new to read. Returns how to stop. */
  onAdded(listener: () => void): () => void;
  /** What is wrong and what to do, in a sentence; undefined when all is well. */
  fault(): string | undefined;
  counts(): JournalCounts;
  /**
   * Takes over what a proxy left that will not return; resolves with the number of files. Rejects
   * when that proxy runs.
   */
  adopt(otherDirectory: string): Promise<number>;
  /** Writes what is gathered and lets go of the directory. */
  close(): Promise<void>;
}

/** Numbers for metrics. */
export interface JournalCounts {
  /** Bytes that the ledger has not confirmed. */
  readonly pendingBytes: number;
  /** Bytes that are in memory only. */
  readonly memoryBytes: number;
  /** Records that were answered for before the disk had them. */
  readonly late: number;
  /** Records that were lost because neither disk nor memory had room. */
  readonly dropped: number;
  /** Bytes in files that were no records any more. */
  readonly damagedBytes: number;
}

export interface JournalOptions {
  readonly directory: string;
  readonly proxyId: string;
  readonly clock: Clock;
  readonly log: LinkLog;
  readonly disk?: Disk;
  /** A new file is begun beyond this. Default 8 MiB. */
  readonly segmentBytesMax?: number;
  /** Most bytes kept in memory while the disk fails. Default 32 MiB. */
  readonly memoryBytesMax?: number;
}

/**
 * Opens the journal in a directory; what is left from before is pending again. Rejects when it is
 * in use or not writable.
 */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { directory, clock, log, memoryBytesMax = 32 * MEBIBYTE } = options;
  const disk = options.disk ?? createSystemDisk();
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const lock = await lockDirectory(directory);
  const listeners = new Set<() => void>();
  const segments = new Segments({ directory, disk, log, memoryBytesMax });
  const writer = new JournalWriter({
    segments,
    disk,
    clock,
    log,
    segmentBytesMax: options.segmentBytesMax ?? 8 * MEBIBYTE,
    added: () => {
      for (const listener of listeners) listener();
    },
  });
  try {
    await addLeftFiles(segments, directory);
    const epoch = await raiseEpoch(directory, clock);
    await writer.start();
    return createJournal({
      options,
      disk,
      epoch,
      segments,
      writer,
      listeners,
      release: lock.release,
    });
  } catch (thrown) {
    await writer.close();
    await lock.release();
    throw thrown;
  }
}

const MEBIBYTE = 1024 * 1024;

interface Parts {
  readonly options: JournalOptions;
  readonly disk: Disk;
  readonly epoch: number;
  readonly segments: Segments;
  readonly writer: JournalWriter;
  readonly listeners: Set<() => void>;
  readonly release: () => Promise<void>;
}

function createJournal(parts: Parts): Journal {
  const { options, segments, writer, listeners } = parts;
  return {
    epoch: parts.epoch,
    note: (record) => {
      record.proxyId = options.proxyId;
      return writer.note(record);
    },
    read: (after, limits) => segments.read(after, limits),
    committed: (upTo) => segments.committed(upTo),
    get committedUpTo() {
      return segments.committedUpTo;
    },
    onAdded: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    fault: () => describeFault(options.directory, segments, writer),
    counts: () => ({
      pendingBytes: segments.pendingBytes,
      memoryBytes: segments.memoryBytes,
      late: writer.late,
      dropped: segments.dropped,
      damagedBytes: segments.damagedBytes,
    }),
    adopt: (otherDirectory) => adoptFiles(parts, otherDirectory),
    close: async () => {
      await writer.close();
      // Nothing is left to send: spare the ledger the same records after the next start.
      if (segments.pendingBytes === 0) segments.committed(AFTER_ALL);
      await segments.removed();
      void parts.disk.release?.();
      await parts.release();
    },
  };
}

const AFTER_ALL: JournalPosition = { segment: Number.MAX_SAFE_INTEGER, offset: 0 };

function describeFault(
  directory: string,
  segments: Segments,
  writer: JournalWriter,
): string | undefined {
  if (writer.failure !== undefined) {
    const lost = segments.dropped > 0 ? ` ${segments.dropped} records were lost.` : "";
    return (
      `The journal in ${directory} cannot be written (${writer.failure}): free space on the disk or mend it. ` +
      `Until then records are kept in memory only.${lost}`
    );
  }
  const unreadable = segments.unreadable[0];
  if (unreadable === undefined) return undefined;
  return `The journal file ${unreadable} cannot be read: mend the disk and restart, or remove the file to give its records up.`;
}

/** Sizes are taken from the files: what a kill tore off at an end is skipped when it is read. */
async function addLeftFiles(segments: Segments, directory: string): Promise<void> {
  for (const { path, id } of await listFiles(directory)) {
    const { size } = await stat(path);
    segments.skipNames(id);
    segments.addFile(path, size).sealed = true;
  }
}

async function adoptFiles(parts: Parts, otherDirectory: string): Promise<number> {
  const { disk, segments, writer } = parts;
  const lock = await lockDirectory(otherDirectory);
  try {
    return await writer.betweenFiles(async () => {
      const files = await listFiles(otherDirectory);
      for (const { path } of files) {
        const { size } = await stat(path);
        const name = segments.name();
        await disk.move(path, name);
        segments.addFile(name, size).sealed = true;
      }
      return files.length;
    });
  } finally {
    await lock.release();
  }
}

interface JournalFile {
  readonly id: number;
  readonly path: string;
}

async function listFiles(directory: string): Promise<JournalFile[]> {
  const files: JournalFile[] = [];
  for (const name of await readdir(directory)) {
    const id = /^(\d{12})\.journal$/.exec(name)?.[1];
    if (id !== undefined) files.push({ id: Number(id), path: join(directory, name) });
  }
  return files.sort((a, b) => a.id - b.id);
}
