/**
 * Simulates many worlds: `npm run simulate -- --seed N --runs M`. Ends with 1 when one of them shows
 * what must never be, after its seed and the last that happened in it.
 */
import { parseArgs } from "node:util";
import { type RunReport, runSimulation } from "./run-simulation.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    runs: { type: "string", default: "200" },
    tail: { type: "string", default: "60" },
    "keep-going": { type: "boolean", default: false },
  },
});
const first = Number(values.seed);
const runs = Number(values.runs);
const startedMs = performance.now();
const sums = { runs: 0, happened: 0, requests: 0, served: 0, killed: 0, deaths: 0 };
const refused: Record<string, number> = {};
let least = 1;
let forfeited = 0;
let buckets = 0;
const failed: number[] = [];
for (let seed = first; seed < first + runs; seed += 1) {
  const report = await runSimulation(seed);
  add(report);
  if (report.violation === undefined) continue;
  failed.push(seed);
  if (values["keep-going"]) console.log(`seed ${seed}: ${report.violation.split("\n")[0]}`);
  else {
    console.log(report.tail.slice(-Number(values.tail)).join("\n"));
    console.log(`seed ${seed}: ${report.violation}`);
    break;
  }
}
print();
if (failed.length > 0) process.exitCode = 1;

function add({ counts, drained }: RunReport): void {
  sums.runs += 1;
  sums.happened += counts.happened;
  sums.requests += counts.requests;
  sums.served += counts.served;
  sums.killed += counts.killed;
  sums.deaths += counts.deaths;
  for (const [reason, count] of Object.entries(counts.refused)) {
    refused[reason] = (refused[reason] ?? 0) + count;
  }
  if (drained === undefined) return;
  least = Math.min(least, drained.leastSpendable);
  forfeited += drained.forfeited;
  buckets += drained.buckets;
}

function print(): void {
  const seconds = (performance.now() - startedMs) / 1000;
  const pairs = Object.entries(sums).map(([name, count]) => `${name} ${count}`);
  console.log(`seeds ${first}..${first + sums.runs - 1} in ${seconds.toFixed(1)} s`);
  console.log(pairs.join(", "));
  console.log(`refused: ${JSON.stringify(refused)}`);
  console.log(
    `spendable at least ${(100 * least).toFixed(2)} % of each of ${buckets} ceilings, besides ` +
      `${((100 * forfeited) / Math.max(1, buckets)).toFixed(2)} % that crashes forfeited`,
  );
  console.log(failed.length === 0 ? "no violation" : `VIOLATIONS: seeds ${failed.join(", ")}`);
}
