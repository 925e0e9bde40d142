import { describe, expect, it } from "vitest";
import { SqliteLane } from "./sqlite-lane.ts";
import { StoreError } from "./store.ts";

/** A thread that answers `get` with its input, never answers `revision`, and dies of `readAll`. */
const feeble = `
  import { parentPort, threadId } from "node:worker_threads";
  parentPort.on("message", (request) => {
    if (request === "close") return parentPort.close();
    if (request.name === "readAll") throw new Error("died");
    if (request.name === "revision") return;
    const answers = [{ id: request.id, ok: true, output: [threadId, request.input] }];
    parentPort.postMessage({ event: "answers", transactions: 1, answers });
  });
  parentPort.postMessage({ event: "ready" });
`;

/** A thread that cannot open its file. */
const unusable = `
  import { parentPort } from "node:worker_threads";
  const failure = { message: "Do this.", detail: "as SQLite says" };
  parentPort.postMessage({ event: "unusable", failure });
  parentPort.close();
`;

describe("SqliteLane", () => {
  const setup = { path: "/data/weir.db", lane: "read", busyTimeoutMs: 20 } as const;
  const createLane = (script: string) =>
    new SqliteLane(setup, new URL(`data:text/javascript,${encodeURIComponent(script)}`));

  it("fails what is pending when its thread dies, and starts another with the next call", async () => {
    const lane = createLane(feeble);
    await lane.open();
    const first = await lane.run("get", "a");
    const failures = await Promise.allSettled([
      lane.run("revision", undefined),
      lane.run("readAll", undefined),
    ]);
    for (const failure of failures) {
      expect(failure.status === "rejected" && failure.reason).toBeInstanceOf(StoreError);
      expect(String(failure.status === "rejected" && failure.reason)).toMatch(
        /read before writing/,
      );
    }
    const second = await lane.run("get", "a");
    expect(second).toEqual([expect.any(Number), "a"]);
    expect(second).not.toEqual(first);
    await lane.close();
  });

  it("says what its thread says when the file cannot be opened", async () => {
    await expect(createLane(unusable).open()).rejects.toThrow(new StoreError("Do this."));
    await expect(createLane(unusable).run("get", "a")).rejects.toThrow(new StoreError("Do this."));
  });

  it("refuses what comes when too much waits already", async () => {
    const lane = createLane(feeble);
    const pending = Array.from({ length: 10_000 }, () => lane.run("revision", undefined));
    await expect(lane.run("get", "a")).rejects.toThrow(/does not keep up/);
    const settled = Promise.allSettled(pending);
    await lane.close();
    expect((await settled).every((outcome) => outcome.status === "rejected")).toBe(true);
  });

  it("closes before its first call, and refuses the next", async () => {
    const lane = createLane(feeble);
    await lane.close();
    await expect(lane.run("get", "a")).rejects.toThrow(/closed/);
  });
});
