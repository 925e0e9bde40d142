import { describe, expect, it } from "vitest";
import { runSimulation } from "./run-simulation.ts";

const SLICE = 10;

/** Worlds of these seeds keep every promise. */
export function describeWorlds(name: string, seeds: readonly number[]): void {
  describe(name, () => {
    for (let from = 0; from < seeds.length; from += SLICE) {
      const some = seeds.slice(from, from + SLICE);
      it(`keep every promise: seeds ${some[0]} to ${some.at(-1)}`, {
        timeout: 120_000,
      }, async () => {
        for (const seed of some) {
          const { violation, tail } = await runSimulation(seed);
          const again = `npm run simulate -- --seed ${seed} --runs 1`;
          expect(violation, `${tail.slice(-40).join("\n")}\n${again}`).toBeUndefined();
        }
      });
    }
  });
}

/** Fixed, so that a build never fails by chance; `npm run simulate` looks at others. */
export function listSeeds(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}
