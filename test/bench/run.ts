/**
 * `npm run bench`: what Weir costs, as ratios to bare proxies in front of the same upstream, measured in turns within one
 * run, beside what it is held to. `--help` tells of the options.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describeCores } from "./bench-process.ts";
import { createFurther, createHeldTo, type Extras } from "./held-to.ts";
import { formatRows, formatTrials } from "./report.ts";
import { type RoundOptions, runRounds, warmUp } from "./rounds.ts";
import { Servers } from "./servers.ts";
import { measureStreamMemory, type StreamMemory } from "./stream-memory.ts";
import { type Group, groups, trials } from "./trials.ts";
import { measureWorkerScaling } from "./worker-scaling.ts";

const help = `npm run bench -- [OPTION…]

  --rounds N       rounds, each with every trial once; default 5
  --seconds N      measured seconds of a trial; default 4
  --minutes N      begins no further round after this time; default 30
  --only A,B       only these parts: ${groups.join(", ")}
  --quick          one short round, to see that everything runs; its numbers say little
  --out FILE       all results as JSON
  --keep           keep the working directory, with logs
`;

const { values: given } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "4" },
    minutes: { type: "string", default: "30" },
    only: { type: "string" },
    quick: { type: "boolean", default: false },
    out: { type: "string" },
    keep: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

/** Two workers, the upstream and the load. */
const CORES_FOR_SCALING = 4;
const MEMORY_ROUNDS_MAX = 3;

async function run(directory: string): Promise<void> {
  const asked = readGroups(given.only);
  const bounds = { directory, minutesMax: readNumber("minutes", given.minutes) };
  const options: RoundOptions = given.quick
    ? { ...bounds, rounds: 1, seconds: 1, warmSeconds: 0.5, compileSeconds: 0.5, retries: 0 }
    : {
        ...bounds,
        rounds: readNumber("rounds", given.rounds),
        seconds: readNumber("seconds", given.seconds),
        warmSeconds: 1,
        compileSeconds: 5,
        retries: 1,
      };
  const chosen = trials.filter(({ group }) => asked.has(group));
  say(`${cpus()[0]?.model ?? "unknown processor"}, Node ${process.versions.node}.`);
  say(describeCores());
  const servers = new Servers(directory);
  try {
    await servers.start(new Set(chosen.map(({ server }) => server)));
    if (asked.has("rest") && servers.get("nginx") === undefined)
      say("nginx is not installed: its rows are left out.");
    say("warming up");
    await warmUp(chosen, servers, options);
    const rounds = await runRounds(chosen, servers, options, say);
    const extras: Extras = {
      memory: asked.has("memory") ? await measureMemory(servers, options) : [],
      workers: asked.has("workers") ? await measureWorkerScaling(servers, options) : undefined,
      coresToSpare: availableParallelism() >= CORES_FOR_SCALING,
    };
    const held = createHeldTo(rounds, extras);
    const more = createFurther(rounds, extras).filter(({ value }) => value !== undefined);
    say(`\n${formatTrials(chosen, rounds)}`);
    say(`\n${formatRows("held to", held)}`);
    say(`\n${formatRows("further", more)}`);
    say(`\nOnly CPU ratios gate. Latencies need a quiet machine: "void" says nothing either way.`);
    if (given.out !== undefined) {
      const results = rounds.results.map((round) => Object.fromEntries(round));
      const all = { heldTo: held, further: more, extras, rounds: results };
      writeFileSync(given.out, `${JSON.stringify(all, null, 1)}\n`);
    }
  } finally {
    await servers.stop();
  }
}

/** Fresh processes each time: memory that was paid for once hides what a stream costs. */
async function measureMemory(servers: Servers, options: RoundOptions): Promise<StreamMemory[]> {
  const { directory, seconds, warmSeconds } = options;
  const { upstreamPort } = servers;
  const known = servers.listPids();
  const load = { directory, seconds, warmSeconds, known, upstreamPort };
  const found: StreamMemory[] = [];
  for (let round = 0; round < Math.min(options.rounds, MEMORY_ROUNDS_MAX); round++) {
    found.push(await measureStreamMemory("bare", "openai-stream", load));
    found.push(await measureStreamMemory("weir", "openai-stream", load));
    found.push(await measureStreamMemory("weir", "grpc-stream", load));
    for (const { server, form, bytesEach } of found.slice(-3)) {
      say(`${server} ${form}: ${(bytesEach / 1000).toFixed(1)} kB an open stream`);
    }
  }
  return found;
}

function readGroups(text: string | undefined): ReadonlySet<Group> {
  if (text === undefined) return new Set(groups);
  const names = text.split(",");
  const chosen = groups.filter((group) => names.includes(group));
  if (chosen.length < names.length) throw new Error(`--only: one or more of ${groups.join(", ")}`);
  return new Set(chosen);
}

function readNumber(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${option}: "${text}" is no positive number`);
  return value;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

if (given.help) {
  say(help);
} else if (process.platform !== "linux") {
  say("The bench reads CPU time from /proc: it runs on Linux only.");
} else {
  const directory = mkdtempSync(join(tmpdir(), "weir-bench-"));
  try {
    await run(directory);
    if (!given.keep) rmSync(directory, { recursive: true, force: true });
  } catch (thrown) {
    say(`Logs are in ${directory}.`);
    throw thrown;
  }
}
