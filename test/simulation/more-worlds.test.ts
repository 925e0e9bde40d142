import { describeWorlds, listSeeds } from "./describe-worlds.ts";

// A file of their own, so that both workers simulate.
describeWorlds("more simulated worlds", listSeeds(101, 200));

describeWorlds(
  "worlds that have found faults",
  [10_212, 10_471, 10_560, 10_941, 11_292, 11_446, 12_443],
);
