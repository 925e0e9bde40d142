import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileReader } from "./file-reader.ts";

let directory = "";
let first = "";
let second = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "weir-reader-"));
  first = join(directory, "first");
  second = join(directory, "second");
  writeFileSync(first, "0123456789");
  writeFileSync(second, "abcdefghij");
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("FileReader", () => {
  it("reads parts, and what was appended since", async () => {
    const reader = new FileReader();
    expect(String(await reader.read(first, 2, 3))).toBe("234");
    appendFileSync(first, "more");
    expect(String(await reader.read(first, 8, 100))).toBe("89more");
    await reader.close();
  });

  it("keeps reads of two files apart that are asked for at once", async () => {
    const reader = new FileReader();
    const asked = Array.from({ length: 20 }, (_, at) =>
      reader.read(at % 2 === 0 ? first : second, 0, 10),
    );
    const texts = (await Promise.all(asked)).map(String);
    expect(new Set(texts.filter((_, at) => at % 2 === 0))).toEqual(new Set(["0123456789"]));
    expect(new Set(texts.filter((_, at) => at % 2 === 1))).toEqual(new Set(["abcdefghij"]));
    await reader.close();
  });

  it("rejects for a file that is not there, and reads the next", async () => {
    const reader = new FileReader();
    await expect(reader.read(join(directory, "none"), 0, 1)).rejects.toMatchObject({
      code: "ENOENT",
    });
    expect(String(await reader.read(first, 0, 1))).toBe("0");
    await reader.close();
  });

  it.runIf(process.platform === "linux")("has one file open, and none once told", async () => {
    const reader = new FileReader();
    await reader.read(first, 0, 1);
    await reader.read(second, 0, 1);
    expect(listOpen()).toEqual([second]);
    await reader.forget(first);
    expect(listOpen()).toEqual([second]);
    await reader.forget(second);
    expect(listOpen()).toEqual([]);
  });
});

/** The files of the directory that this process has open. */
function listOpen(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(directory) ? [path] : [];
    } catch {
      return [];
    }
  });
}
