import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { LeftEpoch, Watermark, Watermarks } from "../mesh/quota.ts";
import { isSameBoot } from "./boot-id.ts";
import type { Disk } from "./disk.ts";
import type { LinkLog } from "./log.ts";
import {
  decodeWatermarks,
  encodeHead,
  encodeMarks,
  layMark,
  type WatermarkFrames,
} from "./watermark-frame.ts";

/** What the file needs. */
export interface WatermarkFileOptions {
  /** The proxy's own data directory. */
  readonly directory: string;
  /** Must have `writeNow`. */
  readonly disk: Disk;
  readonly epoch: number;
  /** As readBootId() names this run of the machine. */
  readonly bootId: string;
  readonly log: LinkLog;
  /** From this size on the file is written anew; default 4 MiB. */
  readonly compactBytes?: number;
}

/** Watermarks in a file; close it when the proxy stops. */
export interface WatermarkFile extends Watermarks {
  done(): void;
  /** Resolves once nothing is under way in the background. */
  idle(): Promise<void>;
  /** Resolves once nothing is written any more. */
  close(): Promise<void>;
}

/**
 * Reads what earlier epochs left and begins this epoch's file. Each admission appends one frame
 * before it reserves: in the system's memory it outlives a kill -9. Rejects when the directory
 * cannot be read. A disk that takes nothing does not stop the proxy: raise() throws until it does.
 */
export async function openWatermarks(options: WatermarkFileOptions): Promise<WatermarkFile> {
  const { directory, disk, bootId } = options;
  const found = await listFiles(directory);
  const byEpoch = new Map<number, FoundFile[]>();
  for (const file of found) {
    byEpoch.set(file.epoch, [...(byEpoch.get(file.epoch) ?? []), file]);
  }
  const left: LeftEpoch[] = [];
  for (const [epoch, files] of [...byEpoch].sort(([a], [b]) => a - b)) {
    const newest = await readNewest(disk, files);
    const marks = [...(newest.marks?.values() ?? [])];
    const trusted = newest.sound && isSameBoot(newest.head?.boot ?? "", bootId);
    left.push({ epoch, trusted, marks });
  }
  const previousEpoch = await readReplied(disk, directory);
  const file = new MarkFile(options, { left, found, previousEpoch });
  await file.begin();
  return file;
}

class MarkFile implements WatermarkFile {
  readonly previousEpoch: number;
  #left: readonly LeftEpoch[];
  readonly #options: WatermarkFileOptions;
  #found: readonly FoundFile[];
  readonly #marks = new Map<string, Watermark>();
  #open: OpenFile | undefined;
  #generation = 0;
  #beginning = false;
  #closed = false;
  readonly #pending = new Set<Promise<void>>();

  constructor(options: WatermarkFileOptions, read: ReadState) {
    this.#options = options;
    this.#left = read.left;
    this.#found = read.found;
    this.previousEpoch = read.previousEpoch;
  }

  get left(): readonly LeftEpoch[] {
    return this.#left;
  }

  raise(marks: readonly Watermark[]): void {
    const open = this.#open;
    if (open === undefined) {
      // It is tried again for those who come next.
      this.#beginAgain();
      throw new Error("The watermark file could not be created.");
    }
    this.#append(open, encodeMarks(marks, open.torn));
    for (const mark of marks) layMark(this.#marks, mark);
    if (open.size >= open.compactAt) this.#beginAgain();
  }

  forget(epochs: readonly number[]): void {
    const gone = this.#found.filter(({ epoch }) => epochs.includes(epoch));
    this.#found = this.#found.filter(({ epoch }) => !epochs.includes(epoch));
    this.#left = this.#left.filter(({ epoch }) => !epochs.includes(epoch));
    for (const { path } of gone) this.#later(this.#options.disk.remove(path));
  }

  noteReplied(): void {
    this.#later(this.#writeReplied());
  }

  done(): void {
    this.#closed = true;
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) this.#later(this.#discard(open));
  }

  async idle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.idle();
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) await this.#options.disk.close(open.file).catch(() => {});
  }

  /** Begins a file with all marks that stand; the one before is gone once it is whole. */
  async begin(): Promise<void> {
    const { disk, directory, epoch, bootId, log } = this.#options;
    this.#beginning = true;
    this.#generation += 1;
    const path = join(directory, nameFile(epoch, this.#generation));
    try {
      const next = { path, file: await disk.create(path), size: 0, torn: 0, compactAt: 0 };
      try {
        this.#append(next, encodeHead({ epoch, boot: bootId }));
        this.#append(next, encodeMarks(this.#marks.values(), 0));
      } catch (thrown) {
        await this.#discard(next);
        throw thrown;
      }
      const before = this.#open;
      // Half of it may be marks that stand: the next one is due when it has doubled.
      next.compactAt = Math.max(2 * next.size, this.#options.compactBytes ?? COMPACT_BYTES);
      this.#open = this.#closed ? undefined : next;
      if (this.#closed) await this.#discard(next);
      if (before !== undefined) await this.#discard(before);
    } catch (thrown) {
      log.warn({ error: String(thrown), path }, "The watermark file cannot be written.");
      if (this.#open !== undefined) this.#open.compactAt *= 2;
    } finally {
      this.#beginning = false;
    }
  }

  #beginAgain(): void {
    if (!this.#beginning && !this.#closed) this.#later(this.begin());
  }

  /** Appends a frame, or throws and leaves the end where it was. */
  #append(open: OpenFile, frame: Buffer): void {
    const { disk } = this.#options;
    if (disk.writeNow === undefined) throw new Error("This disk cannot write at once.");
    let written = 0;
    try {
      while (written < frame.length) {
        const rest = frame.subarray(written);
        const taken = disk.writeNow(open.file, rest, open.size + written);
        if (taken <= 0) throw new Error("The disk takes nothing more.");
        written += taken;
      }
    } catch (thrown) {
      open.torn = Math.max(open.torn, written);
      throw thrown;
    }
    open.size += frame.length;
    open.torn = 0;
  }

  async #discard(open: OpenFile): Promise<void> {
    const { disk } = this.#options;
    await disk.close(open.file).catch(() => {});
    await disk.remove(open.path);
  }

  async #writeReplied(): Promise<void> {
    const { disk, directory, epoch } = this.#options;
    const path = join(directory, REPLIED);
    await disk.remove(`${path}.new`);
    const file = await disk.create(`${path}.new`);
    try {
      disk.writeNow?.(file, Buffer.from(`${epoch}\n`), 0);
      await disk.sync(file);
    } finally {
      await disk.close(file);
    }
    await disk.move(`${path}.new`, path);
  }

  #later(work: Promise<void>): void {
    const { log } = this.#options;
    const settled = work
      .catch((thrown: unknown) => {
        log.warn({ error: String(thrown) }, "Old watermarks cannot be put away.");
      })
      .finally(() => this.#pending.delete(settled));
    this.#pending.add(settled);
  }
}

interface OpenFile {
  readonly path: string;
  readonly file: number;
  /** Where the next frame goes. */
  size: number;
  /** How much a failed write has left behind that. */
  torn: number;
  compactAt: number;
}

interface ReadState {
  readonly left: readonly LeftEpoch[];
  readonly found: readonly FoundFile[];
  readonly previousEpoch: number;
}

interface FoundFile {
  readonly path: string;
  readonly epoch: number;
  readonly generation: number;
}

const REPLIED = "quota-replied";
const NAME = /^quota-(\d+)-(\d+)\.marks$/;
const COMPACT_BYTES = 4 * 1024 * 1024;

function nameFile(epoch: number, generation: number): string {
  return `quota-${epoch}-${generation}.marks`;
}

async function listFiles(directory: string): Promise<FoundFile[]> {
  return (await readdir(directory)).flatMap((name) => {
    const [, epoch, generation] = NAME.exec(name) ?? [];
    if (epoch === undefined || generation === undefined) return [];
    return [{ path: join(directory, name), epoch: Number(epoch), generation: Number(generation) }];
  });
}

/** The newest file that was begun to its end: no mark went into an earlier one after that. */
async function readNewest(disk: Disk, files: readonly FoundFile[]): Promise<WatermarkFrames> {
  let damaged: WatermarkFrames | undefined;
  for (const { path } of [...files].sort((a, b) => b.generation - a.generation)) {
    const frames = decodeWatermarks(await readWhole(disk, path));
    if (frames.head !== undefined && frames.marks !== undefined) return frames;
    if (!frames.sound) damaged ??= frames;
  }
  // Not even begun: nothing was admitted by it.
  return damaged ?? { head: undefined, marks: undefined, sound: true };
}

async function readWhole(disk: Disk, path: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const part = await disk.read(path, at, READ_BYTES);
    if (part.length === 0) return Buffer.concat(parts);
    parts.push(Buffer.from(part));
    at += part.length;
  }
}

const READ_BYTES = 1024 * 1024;

async function readReplied(disk: Disk, directory: string): Promise<number> {
  try {
    const value = Number.parseInt(
      (await disk.read(join(directory, REPLIED), 0, 32)).toString(),
      10,
    );
    return Number.isSafeInteger(value) && value > 0 ? value : 0;
  } catch {
    return 0;
  }
}
