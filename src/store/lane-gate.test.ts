import { describe, expect, it } from "vitest";
import { LaneGate } from "./lane-gate.ts";
import { StoreError } from "./store.ts";

describe("LaneGate", () => {
  /** Tasks that end when they are told. */
  const createTasks = (gate: LaneGate) => {
    const running: { name: string; end: (error?: Error) => void }[] = [];
    const run = (name: string) =>
      gate.run(
        () =>
          new Promise<string>((resolve, reject) => {
            const end = (error?: Error) => (error === undefined ? resolve(name) : reject(error));
            running.push({ name, end });
          }),
      );
    return { running, run, names: () => running.map((task) => task.name).join("") };
  };

  it("lets so many run at a time, and the others in the order of their coming", async () => {
    const { running, run, names } = createTasks(new LaneGate(2));
    const all = ["a", "b", "c", "d"].map(run);
    await Promise.resolve();
    expect(names()).toBe("ab");
    running[1]?.end();
    await all[1];
    await Promise.resolve();
    expect(names()).toBe("abc");
    for (const at of [0, 2]) running[at]?.end();
    await all[0];
    await all[2];
    expect(names()).toBe("abcd");
    running[3]?.end();
    expect(await Promise.all(all)).toEqual(["a", "b", "c", "d"]);
  });

  it("gives the place of a failed task on", async () => {
    const { running, run, names } = createTasks(new LaneGate(1));
    const [first, second] = [run("a"), run("b")];
    running[0]?.end(new Error("broken"));
    await expect(first).rejects.toThrow("broken");
    expect(names()).toBe("ab");
    running[1]?.end();
    expect(await second).toBe("b");
  });

  it("refuses what comes when too much waits already", async () => {
    const { run } = createTasks(new LaneGate(1));
    for (let n = 0; n < 10_001; n += 1) void run("x");
    await expect(run("late")).rejects.toThrow(StoreError);
    await expect(run("late")).rejects.toThrow(/does not keep up/);
  });
});
