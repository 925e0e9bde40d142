import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createSystemDisk, type Disk } from "./disk.ts";
import { openWatermarks, type WatermarkFile } from "./watermark-file.ts";
import { decodeWatermarks, encodeHead, encodeMarks } from "./watermark-frame.ts";

/** The real disk, with a limit to what it takes. */
class FaultyDisk implements Disk {
  readonly #disk = createSystemDisk();
  /** How many bytes it still takes. */
  room = Number.POSITIVE_INFINITY;
  create = (path: string) =>
    this.room === 0 ? Promise.reject(new Error("ENOSPC")) : this.#disk.create(path);
  write = this.#disk.write;
  writeNow = (file: number, bytes: Buffer, at: number): number => {
    if (this.room === 0) throw new Error("ENOSPC");
    const taken = bytes.subarray(0, Math.min(bytes.length, this.room));
    this.room -= taken.length;
    return this.#disk.writeNow?.(file, taken, at) ?? 0;
  };
  sync = () => Promise.resolve();
  close = this.#disk.close;
  read = this.#disk.read;
  remove = this.#disk.remove;
  move = this.#disk.move;
  release = () => this.#disk.release?.() ?? Promise.resolve();
}

let directory: string;
let disk: FaultyDisk;
let opened: WatermarkFile[];
const quiet = { info: () => {}, warn: () => {} };

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "weir-marks-"));
  disk = new FaultyDisk();
  opened = [];
});

afterEach(async () => {
  disk.room = Number.POSITIVE_INFINITY;
  for (const file of opened) await file.close();
  await disk.release();
  await rm(directory, { recursive: true });
});

async function open(epoch: number, more: { bootId?: string; compactBytes?: number } = {}) {
  const options = { directory, disk, epoch, bootId: "boot", log: quiet, ...more };
  const file = await openWatermarks(options);
  opened.push(file);
  return file;
}

const mark = (bucket: string, usedMax: number, windowStartMs = 0) => ({
  bucket,
  windowStartMs,
  usedMax,
});

async function findFiles(): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.endsWith(".marks")).sort();
}

async function onlyFile(): Promise<string> {
  const [name = "none"] = await findFiles();
  return join(directory, name);
}

describe("a watermark file", () => {
  it("tells the next start how far each lease was spent at most", async () => {
    const file = await open(1);
    file.raise([mark("a", 10), mark("b", 5, 86_400_000)]);
    file.raise([mark("a", 30)]);
    const { left } = await open(2);
    expect(left).toEqual([
      { epoch: 1, trusted: true, marks: [mark("a", 30), mark("b", 5, 86_400_000)] },
    ]);
  });

  it("lets a later mark lower one before, and one of 0 take its lease out", async () => {
    const file = await open(1);
    file.raise([mark("a", 10), mark("b", 20)]);
    file.raise([mark("a", 0), mark("b", 3)]);
    expect((await open(2)).left[0]?.marks).toEqual([mark("b", 3)]);
  });

  it("keeps epochs until they are confessed", async () => {
    (await open(1)).raise([mark("a", 1)]);
    (await open(2)).raise([mark("a", 2)]);
    const third = await open(3);
    expect(third.left.map(({ epoch }) => epoch)).toEqual([1, 2]);
    third.forget([1, 2]);
    expect(third.left).toEqual([]);
    await third.close();
    expect((await open(4)).left.map(({ epoch }) => epoch)).toEqual([3]);
  });

  it("leaves nothing after a stop in good order", async () => {
    const file = await open(1);
    file.raise([mark("a", 1)]);
    file.done();
    await file.close();
    expect(await findFiles()).toEqual([]);
  });

  it("remembers the last epoch in which the ledger answered", async () => {
    const file = await open(7);
    expect(file.previousEpoch).toBe(0);
    file.noteReplied();
    await file.close();
    await (await open(8)).close();
    expect((await open(9)).previousEpoch).toBe(7);
  });

  it("is not trusted after the machine went down", async () => {
    (await open(1)).raise([mark("a", 1)]);
    const { left } = await open(2, { bootId: "another" });
    expect(left).toEqual([{ epoch: 1, trusted: false, marks: [mark("a", 1)] }]);
  });
});

describe("a damaged watermark file", () => {
  it("is trusted when its last frame was not written to the end", async () => {
    const file = await open(1);
    file.raise([mark("a", 1)]);
    await file.close();
    const whole = await readFile(await onlyFile());
    const torn = encodeMarks([mark("a", 99)], 0);
    for (const length of [1, 7, 8, 9, torn.length - 1]) {
      await writeFile(await onlyFile(), whole);
      await appendFile(await onlyFile(), torn.subarray(0, length));
      await disk.release();
      const next = await open(1000 + length);
      expect(next.left[0]).toEqual({ epoch: 1, trusted: true, marks: [mark("a", 1)] });
      next.done();
      await next.close();
    }
  });

  it("is not trusted when a whole frame is damaged, wherever it is", async () => {
    const whole = [
      encodeHead({ epoch: 1, boot: "boot" }),
      encodeMarks([], 0),
      encodeMarks([mark("a", 5)], 0),
    ];
    const bytes = Buffer.concat(whole);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const broken = Buffer.from(bytes);
        broken[at] = (broken[at] ?? 0) ^ flip;
        const frames = decodeWatermarks(broken);
        // A length that was made longer looks like a frame that was not finished.
        const starts = [0, whole[0]?.length ?? 0, bytes.length - (whole[2]?.length ?? 0)];
        if (!starts.some((start) => at >= start && at < start + 4)) {
          expect(frames.sound).toBe(false);
        }
        if (frames.sound) expect(frames.marks?.get("0 a")).toBeUndefined();
      }),
    );
  });

  it("is not trusted when it was begun and cannot be read", async () => {
    const file = await open(1);
    file.raise([mark("a", 1)]);
    await file.close();
    await truncate(await onlyFile(), 0);
    expect((await open(2)).left[0]?.trusted).toBe(false);
  });
});

describe("a full disk", () => {
  it("lets no mark pass, and the marks before stand", async () => {
    const file = await open(1);
    file.raise([mark("a", 1)]);
    disk.room = 0;
    expect(() => file.raise([mark("a", 50)])).toThrow("ENOSPC");
    disk.room = Number.POSITIVE_INFINITY;
    expect((await open(2)).left[0]?.marks).toEqual([mark("a", 1)]);
  });

  it("leaves no damage behind when it took a part of a frame", async () => {
    const file = await open(1);
    const long = Array.from({ length: 20 }, (_, i) => mark(`bucket-${i}`, i + 1));
    for (const part of [1, 8, 40, 300]) {
      disk.room = part;
      expect(() => file.raise(long)).toThrow();
      disk.room = Number.POSITIVE_INFINITY;
      file.raise([mark("a", part)]);
    }
    const { left } = await open(2);
    expect(left[0]).toEqual({ epoch: 1, trusted: true, marks: [mark("a", 300)] });
  });

  it("is tried again when it was full at the start", async () => {
    disk.room = 0;
    const file = await open(1);
    expect(() => file.raise([mark("a", 1)])).toThrow();
    await file.idle();
    disk.room = Number.POSITIVE_INFINITY;
    expect(() => file.raise([mark("a", 1)])).toThrow();
    await file.idle();
    file.raise([mark("a", 1)]);
    expect((await open(2)).left[0]?.marks).toEqual([mark("a", 1)]);
  });
});

describe("a watermark file that grows", () => {
  it("is written anew with the marks that stand, and reads the same", async () => {
    const file = await open(1, { compactBytes: 2_000 });
    const expected = new Map<string, number>();
    for (let i = 1; i <= 400; i++) {
      const bucket = `b${i % 7}`;
      file.raise([mark(bucket, i)]);
      expected.set(bucket, i);
      if (i % 20 === 0) await file.idle();
    }
    await file.idle();
    const files = await findFiles();
    expect(files).toHaveLength(1);
    expect(files).not.toEqual(["quota-1-1.marks"]);
    expect((await readFile(join(directory, files[0] ?? ""))).length).toBeLessThan(4_000);
    const [left] = (await open(2)).left;
    expect(left?.trusted).toBe(true);
    expect(new Map(left?.marks.map(({ bucket, usedMax }) => [bucket, usedMax]))).toEqual(expected);
  });

  it("counts on the file before while the next one is not whole", async () => {
    const file = await open(1);
    file.raise([mark("a", 5)]);
    await file.close();
    await writeFile(join(directory, "quota-1-2.marks"), encodeHead({ epoch: 1, boot: "boot" }));
    const { left } = await open(2);
    expect(left).toEqual([{ epoch: 1, trusted: true, marks: [mark("a", 5)] }]);
  });
});

describe("what a sibling has left", () => {
  let other: string;

  beforeEach(async () => {
    other = join(directory, "other");
    await mkdir(other);
  });

  const openOther = async (epoch: number, bootId = "boot") => {
    const options = { directory: other, disk, epoch, bootId, log: quiet };
    const file = await openWatermarks(options);
    opened.push(file);
    return file;
  };

  it("is taken over under its name, beside what is one's own", async () => {
    (await open(7)).raise([mark("a", 1)]);
    (await openOther(7)).raise([mark("a", 30), mark("b", 5)]);
    const file = await open(8);
    expect(await file.adopt(other, "local-2")).toBe(1);
    expect(file.left).toEqual([
      { epoch: 7, trusted: true, marks: [mark("a", 1)] },
      { proxyId: "local-2", epoch: 7, trusted: true, marks: [mark("a", 30), mark("b", 5)] },
    ]);
  });

  it("is forgotten where it lies, and alone", async () => {
    (await open(7)).raise([mark("a", 1)]);
    (await openOther(7)).raise([mark("a", 30)]);
    const file = await open(8);
    await file.adopt(other, "local-2");
    file.forget([7], "local-2");
    await file.idle();
    expect(file.left.map(({ proxyId }) => proxyId)).toEqual([undefined]);
    expect((await readdir(other)).filter((name) => name.endsWith(".marks"))).toEqual([]);
    expect(await findFiles()).toEqual(["quota-7-1.marks", "quota-8-1.marks"]);

    await file.adopt(other, "local-2");
    (await openOther(9)).raise([mark("c", 2)]);
    await file.adopt(other, "local-2");
    file.forget([7]);
    await file.idle();
    expect(file.left).toMatchObject([{ proxyId: "local-2", epoch: 9 }]);
    expect(await readdir(other)).toContain("quota-9-1.marks");
  });

  it("is not trusted after the machine went down", async () => {
    (await openOther(7, "before")).raise([mark("a", 30)]);
    const file = await open(8);
    await file.adopt(other, "local-2");
    expect(file.left).toMatchObject([{ proxyId: "local-2", epoch: 7, trusted: false }]);
  });

  it("cannot be taken over where the directory is gone", async () => {
    const file = await open(8);
    await expect(file.adopt(join(other, "no"), "local-2")).rejects.toThrow("ENOENT");
    expect(file.left).toEqual([]);
  });
});
