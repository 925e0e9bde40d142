import { describe, expect, it } from "vitest";
import { dealSeeds, describeWorlds } from "./describe-worlds.ts";
import { runSimulation } from "./run-simulation.ts";

describeWorlds("simulated worlds", dealSeeds(0));

describe("simulated worlds", () => {
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
