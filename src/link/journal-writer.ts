import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import { type Clock, pause, type Timer } from "../mesh/clock.ts";
import type { Disk } from "./disk.ts";
import { appendFrame } from "./frame.ts";
import { createGroup, type Group, joinCarried, recycleWriter } from "./journal-group.ts";
import type { LinkLog } from "./log.ts";
import type { Segment, Segments } from "./segments.ts";
import type { WireWriter } from "./wire-writer.ts";

/** What the writer needs of its surroundings. */
export interface JournalWriterOptions {
  readonly segments: Segments;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: LinkLog;
  readonly segmentBytesMax: number;
  /** Told when there may be something new to read. */
  readonly added: () => void;
}

/**
 * Writes records in groups, one disk operation at a time: what comes while one is under way is
 * gathered for the next. All that ends in one turn of the event loop is one group, written at the
 * turn's end: the system takes it into its memory in microseconds, where a thread's round trip
 * costs twenty. A disk that once takes longer is written to from a thread for a while, so that it
 * cannot hold up the loop again and again.
 *
 * It is in one of three states. *Writing*: there is a file, and `note` waits for the kernel to take
 * the bytes. *Failing*: the disk refused; records go to memory at once, and a new file is tried
 * every second. *Stalled*: an operation takes longer than a second; as failing, but nothing is
 * tried before it returns.
 */
export class JournalWriter {
  readonly #options: JournalWriterOptions;
  #gathered = createGroup();
  #spare: WireWriter | undefined;
  #underWay: Group | undefined;
  #file: OpenFile | undefined;
  #failure: string | undefined;
  #busySinceMs: number | undefined;
  #scheduled = false;
  #lastFlushMs = Number.NEGATIVE_INFINITY;
  #lastRecords = 0;
  #lastProbeMs = 0;
  #unsynced = false;
  /** Until then the disk is not trusted to be quick. */
  #patientUntilMs = Number.NEGATIVE_INFINITY;
  #syncing: Promise<void> | undefined;
  readonly #flushGathered = () => this.#flush();
  readonly #ticker: Timer;
  #idle: (() => void)[] = [];
  /** Records that were answered for before the disk had them. */
  late = 0;

  constructor(options: JournalWriterOptions) {
    this.#options = options;
    this.#ticker = options.clock.every(TICK_MS, () => this.#tick());
  }

  /** Why records are kept in memory only; undefined when all is well. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Opens the first file. Rejects when the disk refuses. */
  async start(): Promise<void> {
    this.#file = await this.#openFile();
  }

  /**
   * Resolves when the record would survive the end of this process, or when the disk is too slow to
   * wait for.
   */
  note(record: RequestRecord): Promise<void> {
    const group = this.#gathered;
    appendFrame(group.writer, record);
    group.records += 1;
    if (!this.#scheduled && (this.#busySinceMs === undefined || this.#failure !== undefined)) {
      this.#schedule();
    }
    return group.done;
  }

  /** Runs `work` while nothing is written, then goes on in a new file. Rejects as `work` does. */
  async betweenFiles<T>(work: () => Promise<T>): Promise<T> {
    while (this.#busySinceMs !== undefined) await this.#becomesIdle();
    this.#begin();
    try {
      await this.#sealFile();
      return await work();
    } finally {
      await this.#reopen();
      this.#end();
    }
  }

  /**
   * Writes what is gathered, makes it durable and closes the file; a disk that hangs is not waited
   * for.
   */
  async close(): Promise<void> {
    await Promise.race([this.#finish(), pause(this.#options.clock, CLOSE_MS)]);
    this.#ticker.cancel();
    this.#failure = "it is closed";
  }

  async #finish(): Promise<void> {
    while (this.#busySinceMs !== undefined || this.#gathered.records > 0) {
      if (this.#busySinceMs === undefined) this.#flush();
      if (this.#busySinceMs !== undefined) await this.#becomesIdle();
    }
    this.#begin();
    await this.#sealFile();
  }

  /**
   * At the end of this turn; from a thread, where a write costs as much as thirty records, so that
   * there are few writes a second.
   */
  #schedule(): void {
    this.#scheduled = true;
    if (this.#isQuick()) {
      setImmediate(this.#flushGathered);
      return;
    }
    const { clock } = this.#options;
    const gatherMs = this.#lastRecords >= BUSY_RECORDS ? BUSY_GATHER_MS : GATHER_MS;
    if (clock.now() - this.#lastFlushMs >= gatherMs) setImmediate(this.#flushGathered);
    else clock.after(gatherMs, this.#flushGathered);
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#gathered.records === 0) return;
    this.#lastFlushMs = this.#options.clock.now();
    this.#lastRecords = this.#gathered.records;
    if (this.#failure !== undefined) this.#keepInMemory(this.#takeGathered());
    else if (this.#busySinceMs === undefined) this.#write();
  }

  #write(): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#begin();
    const group = this.#takeGathered();
    this.#underWay = group;
    const carried = this.#options.segments.memorySegments();
    const bytes = joinCarried(carried, group.writer.bytes);
    const done = (error: Error | null) => {
      this.#underWay = undefined;
      if (error === null) {
        file.segment.size += bytes.length;
        this.#unsynced = true;
        // After a stall all of it is in memory too; readers may have passed this file.
        if (!group.released) this.#options.segments.forget(carried);
        this.#finishGroup(group);
      } else {
        this.#fail(error.message);
        if (!group.released) this.#keepInMemory(group);
      }
      this.#afterWrite(file);
    };
    if (this.#isQuick()) this.#writeAllNow(file, bytes, done);
    else this.#writeAll(file, bytes, done);
  }

  #isQuick(): boolean {
    const { clock, disk } = this.#options;
    return disk.writeNow !== undefined && clock.now() >= this.#patientUntilMs;
  }

  /** Writes within this turn, and remembers when that took too long. */
  #writeAllNow(file: OpenFile, bytes: Buffer, done: (error: Error | null) => void): void {
    const { clock, disk, log } = this.#options;
    const begunMs = clock.now();
    try {
      let written = 0;
      while (written < bytes.length) {
        const rest = bytes.subarray(written);
        const taken = disk.writeNow?.(file.handle, rest, file.segment.size + written) ?? 0;
        if (taken === 0) throw new Error("the disk took nothing");
        written += taken;
      }
    } catch (thrown) {
      done(thrown instanceof Error ? thrown : new Error(String(thrown)));
      return;
    }
    const tookMs = clock.now() - begunMs;
    if (tookMs > SLOW_MS) {
      this.#patientUntilMs = begunMs + tookMs + PATIENCE_MS;
      log.warn(
        { tookMs },
        "the journal's disk is slow; it is written to from a thread for a while",
      );
    }
    done(null);
  }

  /** A disk that is nearly full takes a part and refuses the rest. */
  #writeAll(file: OpenFile, bytes: Buffer, done: (error: Error | null) => void): void {
    const begin = file.segment.size;
    const writeFrom = (offset: number) => {
      this.#options.disk.write(file.handle, bytes.subarray(offset), begin + offset, (error, n) => {
        if (error !== null) done(error);
        else if (offset + n >= bytes.length) done(null);
        else if (n === 0) done(new Error("the disk took nothing"));
        else writeFrom(offset + n);
      });
    };
    writeFrom(0);
  }

  #afterWrite(file: OpenFile): void {
    const replace =
      this.#failure !== undefined ||
      file.doubtful ||
      file.segment.unreadable ||
      file.segment.size >= this.#options.segmentBytesMax;
    if (!replace) {
      this.#end();
      return;
    }
    void this.#sealFile().then(async () => {
      if (this.#failure === undefined) await this.#reopen();
      this.#end();
    });
  }

  /** Never rejects: a refusal is a failure, and failures mend themselves. */
  async #reopen(): Promise<void> {
    try {
      this.#file = await this.#openFile();
      if (this.#failure !== undefined) {
        this.#failure = undefined;
        this.#options.log.info({}, "the journal is written to disk again");
      }
    } catch (thrown) {
      this.#fail(thrown instanceof Error ? thrown.message : String(thrown));
    }
  }

  async #openFile(): Promise<OpenFile> {
    const path = this.#options.segments.name();
    const handle = await this.#options.disk.create(path);
    return { handle, segment: this.#options.segments.addFile(path, 0), doubtful: false };
  }

  /** Never rejects. */
  async #sealFile(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    file.segment.sealed = true;
    await this.#syncing;
    if (file.segment.size > 0) await this.#sync(file);
    await this.#options.disk.close(file.handle).catch(() => undefined);
    if (file.segment.size === 0) this.#options.segments.discard(file.segment);
    this.#options.added();
  }

  async #sync(file: OpenFile): Promise<void> {
    this.#unsynced = false;
    try {
      await this.#options.disk.sync(file.handle);
    } catch (error) {
      // What the kernel could not write may be gone; a new file may lie in a better place.
      file.doubtful = true;
      this.#options.log.warn({ error, path: file.segment.path }, "the journal could not be synced");
    }
  }

  #tick(): void {
    const now = this.#options.clock.now();
    if (this.#busySinceMs !== undefined) {
      if (this.#failure === undefined && now - this.#busySinceMs > LATE_MS) this.#stall();
      return;
    }
    if (this.#failure !== undefined && now - this.#lastProbeMs >= PROBE_MS) void this.#probe();
    else if (this.#unsynced && this.#file !== undefined) this.#syncing = this.#sync(this.#file);
  }

  #stall(): void {
    this.#fail(`it takes longer than ${LATE_MS / 1000} s`);
    this.late += (this.#underWay?.records ?? 0) + this.#gathered.records;
    // Readers shall go on to what is in memory.
    if (this.#file !== undefined) this.#file.segment.sealed = true;
    if (this.#underWay !== undefined) this.#keepInMemory(this.#underWay);
    this.#flush();
  }

  async #probe(): Promise<void> {
    this.#lastProbeMs = this.#options.clock.now();
    this.#begin();
    await this.#reopen();
    this.#end();
  }

  #fail(message: string): void {
    if (this.#failure === undefined) {
      this.#options.log.warn({ message }, "the journal cannot be written; records stay in memory");
    }
    this.#failure = message;
    this.#lastProbeMs = this.#options.clock.now();
  }

  #begin(): void {
    this.#busySinceMs = this.#options.clock.now();
  }

  #end(): void {
    this.#busySinceMs = undefined;
    for (const resolve of this.#idle.splice(0)) resolve();
    if (this.#gathered.records > 0 && !this.#scheduled) this.#schedule();
  }

  #becomesIdle(): Promise<void> {
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #takeGathered(): Group {
    const group = this.#gathered;
    this.#gathered = createGroup(this.#spare);
    this.#spare = undefined;
    return group;
  }

  #keepInMemory(group: Group): void {
    this.#options.segments.addMemory(Buffer.from(group.writer.bytes), group.records);
    if (group === this.#underWay) this.#release(group);
    else this.#finishGroup(group);
  }

  #finishGroup(group: Group): void {
    this.#spare = recycleWriter(group);
    this.#release(group);
  }

  #release(group: Group): void {
    if (!group.released) group.resolve();
    group.released = true;
    this.#options.added();
  }
}

interface OpenFile {
  readonly handle: number;
  readonly segment: Segment;
  /** True when the next write shall go to another file. */
  doubtful: boolean;
}

/** A write within a turn that takes longer was no matter of the system's memory alone. */
const SLOW_MS = 50;
/** Short, since a process that had to wait for a processor looks the same. */
const PATIENCE_MS = 5_000;
const GATHER_MS = 1;
/** Beyond some thousand requests a second, so that what is won is more than what is waited. */
const BUSY_RECORDS = 4;
const BUSY_GATHER_MS = 3;
const TICK_MS = 250;
const LATE_MS = 1000;
const PROBE_MS = 1000;
const CLOSE_MS = 5000;
