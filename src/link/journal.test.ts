import { appendFile, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { systemClock } from "../mesh/clock.ts";
import { type Journal, type JournalOptions, openJournal } from "./journal.ts";
import { type JournalPosition, journalBegin } from "./segments.ts";

const silent = { info: () => undefined, warn: () => undefined };
const all = { records: 1000, bytes: 1_000_000 };

let directory: string;
const opened: Journal[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "weir-journal-"));
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((journal) => journal.close()));
  await rm(directory, { recursive: true });
});

async function open(more: Partial<JournalOptions> = {}): Promise<Journal> {
  const journal = await openJournal({
    directory,
    proxyId: "p",
    clock: systemClock,
    log: silent,
    ...more,
  });
  opened.push(journal);
  return journal;
}

async function close(journal: Journal): Promise<void> {
  opened.splice(opened.indexOf(journal), 1);
  await journal.close();
}

function record(requestId: string) {
  return create(RequestRecordSchema, { requestId });
}

async function readIds(journal: Journal, from = journal.committedUpTo) {
  const ids: string[] = [];
  let place: JournalPosition = from;
  for (;;) {
    const batch = await journal.read(place, all);
    place = batch.next;
    if (batch.records.length === 0) return { ids, place };
    for (const bytes of batch.records) ids.push(fromBinary(RequestRecordSchema, bytes).requestId);
  }
}

async function files(path = directory): Promise<string[]> {
  return (await readdir(path)).filter((name) => name.endsWith(".journal")).sort();
}

describe("openJournal()", () => {
  it("gives back what was noted, in order, with the proxy's name", async () => {
    const journal = await open();
    await Promise.all(["a", "b", "c"].map((id) => journal.note(record(id))));
    await journal.note(record("d"));
    expect((await readIds(journal)).ids).toEqual(["a", "b", "c", "d"]);
    const { records } = await journal.read(journalBegin, { records: 1, bytes: 1 });
    expect(fromBinary(RequestRecordSchema, records[0] ?? Buffer.alloc(0)).proxyId).toBe("p");
  });

  it("tells that there is something to read, and reads on from there", async () => {
    const journal = await open();
    let told = 0;
    const stop = journal.onAdded(() => {
      told += 1;
    });
    await journal.note(record("a"));
    expect(told).toBe(1);
    const { place } = await readIds(journal);
    await journal.note(record("b"));
    stop();
    await journal.note(record("c"));
    expect(told).toBe(2);
    expect((await readIds(journal, place)).ids).toEqual(["b", "c"]);
  });

  it("has again after a restart what was not committed", async () => {
    const first = await open();
    await first.note(record("a"));
    await close(first);
    const second = await open();
    await second.note(record("b"));
    expect((await readIds(second)).ids).toEqual(["a", "b"]);
    expect(second.epoch).toBeGreaterThan(first.epoch);
  });

  it("leaves no files when all was committed", async () => {
    const journal = await open();
    await journal.note(record("a"));
    journal.committed((await readIds(journal)).place);
    await close(journal);
    expect(await files()).toEqual([]);
  });

  it("begins new files and removes those that are committed", async () => {
    const journal = await open({ segmentBytesMax: 100 });
    for (let i = 0; i < 20; i++) await journal.note(record(`${i}`.padStart(30, "x")));
    const { ids, place } = await readIds(journal);
    expect(ids).toHaveLength(20);
    const before = await files();
    expect(before.length).toBeGreaterThan(5);
    journal.committed(place);
    await expect.poll(async () => (await files()).length).toBeLessThanOrEqual(1);
    expect(journal.counts().pendingBytes).toBe(0);
  });

  it("counts an epoch on from a file that was made in the future, and starts without one", async () => {
    await writeFile(join(directory, "epoch"), "99999999999\n");
    expect((await open()).epoch).toBe(100_000_000_000);
    expect(await readFile(join(directory, "epoch"), "utf8")).toBe("100000000000\n");
  });

  for (const [what, damage] of [
    ["a torn record", (path: string) => truncate(path, 70)],
    ["zeros", (path: string) => appendFile(path, Buffer.alloc(5000))],
    ["garbage", (path: string) => appendFile(path, Buffer.alloc(5000, "{garbage}"))],
    ["half a header", (path: string) => appendFile(path, Buffer.from([9, 0, 0]))],
  ] as const) {
    it(`reads on behind ${what} at the end of a file`, async () => {
      const journal = await open();
      for (const id of ["a", "b"]) await journal.note(record(id.repeat(40)));
      await close(journal);
      const [name = ""] = await files();
      await damage(join(directory, name));
      const again = await open();
      await again.note(record("c"));
      const { ids } = await readIds(again);
      expect(ids[0]).toBe("a".repeat(40));
      expect(ids.at(-1)).toBe("c");
      expect(again.counts().damagedBytes).toBeGreaterThan(0);
    });
  }
});

describe("two processes", () => {
  it("cannot use one directory", async () => {
    await open();
    await expect(open()).rejects.toThrow("in use");
  });

  it("cannot use one directory when the other lives, and can when it is gone", async () => {
    await writeFile(join(directory, "lock"), "1 of-another-boot\n");
    const journal = await open();
    await close(journal);
    const stat = await readFile("/proc/1/stat", "utf8").catch(() => undefined);
    if (stat === undefined) return;
    const boot = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
    const birth = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    await writeFile(join(directory, "lock"), `1 ${boot}/${birth}\n`);
    await expect(open()).rejects.toThrow("in use by process 1");
  });
});

describe("adopt()", () => {
  it("takes over what another proxy left, while it goes on itself", async () => {
    const other = join(directory, "other");
    const gone = await open({ directory: other });
    await gone.note(record("left"));
    await close(gone);
    const journal = await open();
    await journal.note(record("a"));
    const { place } = await readIds(journal);
    const adopting = journal.adopt(other);
    await journal.note(record("b"));
    expect(await adopting).toBe(1);
    await journal.note(record("c"));
    expect((await readIds(journal, place)).ids.sort()).toEqual(["b", "c", "left"]);
    expect(await files(other)).toEqual([]);
  });

  it("leaves a proxy alone that runs", async () => {
    const other = join(directory, "other");
    await open({ directory: other });
    const journal = await open();
    await expect(journal.adopt(other)).rejects.toThrow("in use");
  });
});
