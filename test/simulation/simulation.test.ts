import { describe, expect, it } from "vitest";
import { runSimulation } from "./run-simulation.ts";

/** Fixed, so that a build never fails by chance; `npm run simulate` looks at others. */
const RUNS = 200;
const SLICE = 25;

describe("simulated worlds", () => {
  for (let first = 1; first <= RUNS; first += SLICE) {
    it(`keep every promise: seeds ${first} to ${first + SLICE - 1}`, {
      timeout: 120_000,
    }, async () => {
      for (let seed = first; seed < first + SLICE; seed += 1) {
        const { violation, tail } = await runSimulation(seed);
        const story = `${tail.slice(-40).join("\n")}\nnpm run simulate -- --seed ${seed} --runs 1`;
        expect(violation, story).toBeUndefined();
      }
    });
  }

  it("are the same for the same seed", async () => {
    for (const seed of [3, 7, 12]) {
      const [first, second] = [await runSimulation(seed), await runSimulation(seed)];
      expect(second.hash).toBe(first.hash);
      expect(second.counts).toEqual(first.counts);
    }
  });

  it("differ between seeds", async () => {
    expect((await runSimulation(3)).hash).not.toBe((await runSimulation(4)).hash);
  });
});
