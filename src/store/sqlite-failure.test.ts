import { describe, expect, it } from "vitest";
import { createStoreError, describeFailure } from "./sqlite-failure.ts";
import { StoreError } from "./store.ts";

describe("describeFailure()", () => {
  const path = "/data/weir.db";
  const fail = (errcode: number, message = "as SQLite says") =>
    describeFailure(Object.assign(new Error(message), { errcode }), path);

  // The upper bits refine the code: 778 is an I/O error while writing, 1544 a directory that cannot
  // be written.
  const advice: readonly [number, RegExp][] = [
    [5, /locked by another process: stop what holds it/],
    [6, /locked by another process/],
    [8, /give this process's user write permission/],
    [1544, /give this process's user write permission/],
    [778, /look at the system log/],
    [11, /restore a backup/],
    [13, /is full: free some space/],
    [14, /cannot be opened: check/],
    [2067, /contradicts what it holds/],
    [26, /or name another file/],
  ];
  for (const [code, text] of advice) {
    it(`names the file and what to do for code ${code}`, () => {
      const failure = fail(code);
      expect(failure.message).toMatch(text);
      expect(failure.message).toContain(path);
      expect(failure.detail).toBe("as SQLite says");
    });
  }

  it("repeats what SQLite says when there is no advice", () => {
    expect(fail(1).message).toBe("The store /data/weir.db failed: as SQLite says.");
  });

  it("leaves the text of a StoreError as it is", () => {
    const failure = describeFailure(new StoreError("Do this."), path);
    expect(createStoreError(failure)).toEqual(new StoreError("Do this."));
  });

  it("keeps what SQLite said as the cause", () => {
    expect(createStoreError(fail(13)).cause).toEqual(new Error("as SQLite says"));
  });
});
