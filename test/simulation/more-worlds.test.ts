import { dealSeeds, describeWorlds } from "./describe-worlds.ts";

describeWorlds("more simulated worlds", dealSeeds(1));

describeWorlds(
  "worlds that have found faults",
  [10_212, 10_471, 10_560, 10_941, 11_292, 11_446, 12_443, 18_031, 20_124, 20_379],
);
