/**
 * `npm run bench:quota`: what limits cost in process, and then the proof with real processes: a
 * team's dollar, a store that goes away and a proxy that is killed. Ends by itself; exit status 1
 * when something is not as it is held to be.
 */
import { parseArgs } from "node:util";
import { noPostgres } from "../support/postgres-server.ts";
import { undergo } from "../support/quota-ordeal.ts";
import { benchInProcess } from "./quota-in-process.ts";
import { printOrdeal } from "./quota-table.ts";

const usage = `npm run bench:quota -- [OPTION…]
  --in-process       only what limits cost in process
  --real             only the proof with real processes
  --outage SECONDS   how long the store is away; default 60
  --stop             the store ends and is started again; otherwise it is there and silent
  --proxies N        default 4
  --clients N        requests at once; default 2000
  --seed N           of what is asked; default 1
`;

const { values } = parseArgs({
  options: {
    "in-process": { type: "boolean", default: false },
    real: { type: "boolean", default: false },
    outage: { type: "string", default: "60" },
    stop: { type: "boolean", default: false },
    proxies: { type: "string", default: "4" },
    clients: { type: "string", default: "2000" },
    seed: { type: "string", default: "1" },
    help: { type: "boolean", default: false },
  },
});

const CEILING = 1_000_000_000;

if (values.help) process.stdout.write(usage);
else {
  const cheap = values.real || (await benchInProcess());
  const sound = values["in-process"] || (await benchReal());
  if (!cheap || !sound) process.exitCode = 1;
}

async function benchReal(): Promise<boolean> {
  if (noPostgres !== undefined) {
    process.stdout.write(`No proof with real processes: ${noPostgres}\n`);
    return true;
  }
  const begunMs = performance.now();
  const ordeal = await undergo({
    proxies: Number(values.proxies),
    clients: Number(values.clients),
    outageMs: Number(values.outage) * 1_000,
    outage: values.stop ? "stop" : "freeze",
    warmMs: 15_000,
    spendMs: 180_000,
    ceiling: CEILING,
    lateMsMax: 15_000,
    seed: Number(values.seed),
    // A cent each four seconds, and then all of it in a minute or two.
    shape: { answerMs: [1_000, 15_000], promptBytes: [150, 500], output: [5, 30], plain: 70 },
    spending: { answerMs: [500, 4_000], promptBytes: [300, 3_000], output: [5, 60], plain: 70 },
    log: (text) => {
      const seconds = ((performance.now() - begunMs) / 1_000).toFixed(1);
      process.stdout.write(`${seconds.padStart(6)} s  ${text}\n`);
    },
  });
  printOrdeal(ordeal);
  return ordeal.findings.length === 0;
}
