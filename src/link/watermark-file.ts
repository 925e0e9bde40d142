import { join } from "node:path";
import type { LeftEpoch, Watermark, Watermarks } from "../mesh/quota.ts";
import type { Disk } from "./disk.ts";
import type { LinkLog } from "./log.ts";
import { encodeHead, encodeMarks, layMark } from "./watermark-frame.ts";
import { type LeftFile, nameMarkFile, readLeft } from "./watermark-left.ts";

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
  /**
   * Takes over what a proxy of this machine left that will not come back, from its data directory:
   * it is in `left` from now on. Resolves with the number of its epochs; rejects when the directory
   * cannot be read.
   */
  adopt(directory: string, proxyId: string): Promise<number>;
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
  const { directory, disk } = options;
  const { left, files } = await readLeft(options);
  const previousEpoch = await readReplied(disk, directory);
  const file = new MarkFile(options, { left, files, previousEpoch });
  await file.begin();
  return file;
}

class MarkFile implements WatermarkFile {
  readonly previousEpoch: number;
  #left: readonly LeftEpoch[];
  readonly #options: WatermarkFileOptions;
  #files: readonly LeftFile[];
  readonly #marks = new Map<string, Watermark>();
  #open: OpenFile | undefined;
  #generation = 0;
  #beginning = false;
  #closed = false;
  readonly #pending = new Set<Promise<void>>();

  constructor(options: WatermarkFileOptions, read: ReadState) {
    this.#options = options;
    this.#left = read.left;
    this.#files = read.files;
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

  async adopt(directory: string, proxyId: string): Promise<number> {
    const { disk, bootId } = this.#options;
    const { left, files } = await readLeft({ directory, disk, bootId, proxyId });
    this.#left = [...this.#left, ...left];
    this.#files = [...this.#files, ...files];
    return left.length;
  }

  forget(epochs: readonly number[], proxyId?: string): void {
    const isGone = (each: { readonly epoch: number; readonly proxyId?: string | undefined }) =>
      each.proxyId === proxyId && epochs.includes(each.epoch);
    const gone = this.#files.filter(isGone);
    this.#files = this.#files.filter((each) => !isGone(each));
    this.#left = this.#left.filter((each) => !isGone(each));
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
    const path = join(directory, nameMarkFile(epoch, this.#generation));
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
  readonly files: readonly LeftFile[];
  readonly previousEpoch: number;
}

const REPLIED = "quota-replied";
const COMPACT_BYTES = 4 * 1024 * 1024;

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
