import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { systemClock } from "../mesh/clock.ts";
import { createSystemDisk, type Disk } from "./disk.ts";
import { type Journal, openJournal } from "./journal.ts";

const systemDisk = createSystemDisk();

let directory: string;
let journal: Journal;
/** How far the clock is ahead of the machine's. */
let aheadMs = 0;
/** How long each write within a turn seems to take. */
let tookMs = 0;
/** Whether the next write within a turn fails after half of its bytes. */
let breaks = false;
let threaded = 0;

const clock = { ...systemClock, now: () => aheadMs };
const disk: Disk = {
  ...systemDisk,
  write: (file, bytes, at, done) => {
    threaded += 1;
    systemDisk.write(file, bytes, at, done);
  },
  writeNow: (file, bytes, at) => {
    aheadMs += tookMs;
    if (!breaks) return systemDisk.writeNow?.(file, bytes, at) ?? 0;
    breaks = false;
    systemDisk.writeNow?.(file, bytes.subarray(0, bytes.length / 2), at);
    throw new Error("EIO");
  },
};

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "weir-slow-"));
  [aheadMs, tookMs, threaded, breaks] = [0, 0, 0, false];
  const log = { info: () => undefined, warn: () => undefined };
  journal = await openJournal({ directory, proxyId: "p", clock, log, disk });
});

afterEach(async () => {
  await journal.close();
  await rm(directory, { recursive: true });
});

async function note(requestId: string): Promise<void> {
  await journal.note(create(RequestRecordSchema, { requestId }));
}

async function readIds(): Promise<string[]> {
  const ids: string[] = [];
  let place = journal.committedUpTo;
  for (;;) {
    const batch = await journal.read(place, { records: 100, bytes: 100_000 });
    if (batch.records.length === 0) return ids;
    place = batch.next;
    for (const bytes of batch.records) ids.push(fromBinary(RequestRecordSchema, bytes).requestId);
  }
}

describe("a disk that takes bytes into the system's memory", () => {
  it("is written to within the turn", async () => {
    await note("a");
    await note("b");
    expect(threaded).toBe(0);
    expect(await readIds()).toEqual(["a", "b"]);
  });

  it("is written to from a thread once it was slow, and tried again after a while", async () => {
    tookMs = 51;
    await note("a");
    tookMs = 0;
    await note("b");
    expect(threaded).toBe(1);
    aheadMs += 61_000;
    await note("c");
    expect(threaded).toBe(1);
    expect(await readIds()).toEqual(["a", "b", "c"]);
  });

  it("loses nothing when it breaks within a turn", async () => {
    breaks = true;
    await note("a");
    expect(journal.fault()).toContain("EIO");
    await note("b");
    const ids = await readIds();
    expect(ids).toEqual(["a", "b"]);
  });
});
