import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createSystemDisk, type Disk, type WriteDone } from "./disk.ts";
import { type Journal, openJournal } from "./journal.ts";
import type { JournalPosition } from "./segments.ts";

const systemDisk = createSystemDisk();

/** The real disk, with faults at will. */
class FaultyDisk implements Disk {
  /** What the next calls do; undefined works. */
  fault: "refuses" | "takes a part" | "hangs" | undefined;
  /** Fails to open, too. */
  full = false;
  readonly hanging: (() => void)[] = [];
  readonly create = (path: string) =>
    this.full ? Promise.reject(new Error("ENOSPC")) : systemDisk.create(path);
  readonly write = (file: number, bytes: Buffer, at: number, done: WriteDone) => {
    switch (this.fault) {
      case "refuses":
        setImmediate(() => done(new Error("EIO"), 0));
        return;
      case "takes a part":
        this.fault = "refuses";
        systemDisk.write(file, bytes.subarray(0, bytes.length / 2), at, done);
        return;
      case "hangs":
        this.hanging.push(() => systemDisk.write(file, bytes, at, done));
        return;
      case undefined:
        systemDisk.write(file, bytes, at, done);
    }
  };
  readonly sync = () => Promise.resolve();
  readonly close = systemDisk.close;
  /** Has no descriptor for reading. */
  short = false;
  readonly read = (path: string, at: number, size: number) =>
    this.short
      ? Promise.reject(Object.assign(new Error("EMFILE"), { code: "EMFILE" }))
      : systemDisk.read(path, at, size);
  readonly remove = systemDisk.remove;
  readonly move = systemDisk.move;
}

let directory: string;
let clock: VirtualClock;
let disk: FaultyDisk;
let journal: Journal;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "weir-disk-"));
  clock = new VirtualClock();
  disk = new FaultyDisk();
  journal = await open();
});

afterEach(async () => {
  await journal.close();
  await rm(directory, { recursive: true });
});

function open(memoryBytesMax = 100_000) {
  const log = { info: () => undefined, warn: () => undefined };
  return openJournal({ directory, proxyId: "p", clock, log, disk, memoryBytesMax });
}

/** Notes records and lets time pass until all of them are answered for. */
async function note(...ids: string[]): Promise<void> {
  let open = ids.length;
  for (const requestId of ids) {
    void journal.note(create(RequestRecordSchema, { requestId })).then(() => {
      open -= 1;
    });
  }
  for (let turn = 0; open > 0 && turn < 500; turn++) await turnOn(1);
  expect(open).toBe(0);
}

/** The virtual clock moves and the real disk gets a moment. */
async function turnOn(ms: number): Promise<void> {
  await clock.advance(ms);
  for (let i = 0; i < 3; i++) await stat(directory);
}

async function until(check: () => boolean): Promise<void> {
  for (let turn = 0; !check() && turn < 500; turn++) await turnOn(50);
  expect(check()).toBe(true);
}

async function readIds(from = journal.committedUpTo) {
  const ids: string[] = [];
  let place: JournalPosition = from;
  for (;;) {
    const batch = await journal.read(place, { records: 1000, bytes: 1_000_000 });
    place = batch.next;
    if (batch.records.length === 0) return { ids, place };
    for (const bytes of batch.records) ids.push(fromBinary(RequestRecordSchema, bytes).requestId);
  }
}

async function readAfterRestart(): Promise<string[]> {
  await journal.close();
  journal = await open();
  return (await readIds()).ids;
}

describe("a disk that fails", () => {
  for (const fault of ["refuses", "takes a part"] as const) {
    it(`holds no answer back and loses no record: it ${fault}`, async () => {
      await note("a");
      disk.fault = fault;
      await note("b");
      await note("c", "d");
      expect(journal.fault()).toContain("free space");
      expect((await readIds()).ids).toEqual(["a", "b", "c", "d"]);
      disk.fault = undefined;
      await until(() => journal.fault() === undefined);
      await note("e");
      expect(journal.counts().memoryBytes).toBe(0);
      expect((await readIds()).ids).toEqual(["a", "b", "c", "d", "e"]);
      expect(await readAfterRestart()).toEqual(["a", "b", "c", "d", "e"]);
    });
  }

  it("goes on failing for as long as it fails, and leaves no empty files behind", async () => {
    disk.fault = "refuses";
    await note("a");
    for (let i = 0; i < 10; i++) {
      await turnOn(1000);
      await note(`b${i}`);
    }
    expect((await readIds()).ids).toHaveLength(11);
    disk.fault = undefined;
    await until(() => journal.fault() === undefined);
    await note("c");
    expect((await readIds()).ids).toHaveLength(12);
    const names = await readdir(directory);
    expect(names.filter((name) => name.endsWith(".journal"))).toHaveLength(1);
  });

  it("ships what is in memory, and then forgets it", async () => {
    disk.fault = "refuses";
    await note("a");
    await note("b");
    const { ids, place } = await readIds();
    expect(ids).toEqual(["a", "b"]);
    journal.committed(place);
    expect(journal.counts()).toMatchObject({ memoryBytes: 0, pendingBytes: 0 });
    await note("c");
    expect((await readIds()).ids).toEqual(["c"]);
  });

  it("drops the oldest when memory is full, and counts them", async () => {
    await journal.close();
    journal = await open(1000);
    disk.fault = "refuses";
    for (let i = 0; i < 40; i++) await note(`${i}`.padStart(50, "x"));
    const { dropped, memoryBytes } = journal.counts();
    expect(memoryBytes).toBeLessThanOrEqual(1000);
    const { ids } = await readIds();
    expect(dropped).toBe(40 - ids.length);
    expect(ids.at(-1)).toBe("39".padStart(50, "x"));
    expect(journal.fault()).toContain(`${dropped} records were lost`);
  });

  it("mends itself when no new file could be opened either", async () => {
    disk.fault = "refuses";
    disk.full = true;
    await note("a");
    await until(() => journal.fault()?.includes("ENOSPC") === true);
    disk.fault = undefined;
    disk.full = false;
    await until(() => journal.fault() === undefined);
    await note("b");
    expect(await readAfterRestart()).toEqual(["a", "b"]);
  });
});

describe("a system without descriptors", () => {
  it("gives no file up that cannot be opened for a moment", async () => {
    await note("a");
    disk.short = true;
    const blocked = await journal.read(journal.committedUpTo, { records: 9, bytes: 9_000 });
    expect(blocked).toMatchObject({ records: [], blocked: true });
    disk.short = false;
    expect(journal.fault()).toBeUndefined();
    expect((await readIds(blocked.next)).ids).toEqual(["a"]);
  });
});

describe("a disk that hangs", () => {
  it("holds answers back for a second and no longer", async () => {
    disk.fault = "hangs";
    let answered = 0;
    const noteOne = (requestId: string) => {
      void journal.note(create(RequestRecordSchema, { requestId })).then(() => {
        answered += 1;
      });
    };
    noteOne("a");
    await turnOn(1);
    noteOne("b");
    await turnOn(900);
    expect(answered).toBe(0);
    await turnOn(500);
    expect(answered).toBe(2);
    expect(journal.counts().late).toBe(2);
    expect(journal.fault()).toContain("longer than 1 s");
    await note("c");
    expect(new Set((await readIds()).ids)).toEqual(new Set(["a", "b", "c"]));
    for (const finish of disk.hanging.splice(0)) finish();
  });

  it("goes on when the disk does: nothing is lost", async () => {
    disk.fault = "hangs";
    const first = journal.note(create(RequestRecordSchema, { requestId: "a" }));
    await turnOn(1);
    await clock.advance(2000);
    await first;
    await note("b");
    disk.fault = undefined;
    for (const finish of disk.hanging.splice(0)) finish();
    await until(() => journal.fault() === undefined);
    await note("c");
    // The record that the disk took late may be there twice; the ledger keeps each once.
    expect(new Set((await readIds()).ids)).toEqual(new Set(["a", "b", "c"]));
    expect(new Set(await readAfterRestart())).toEqual(new Set(["a", "b", "c"]));
  });
});
