import { type DrainReport, drain } from "./drain.ts";
import { scheduleFaults } from "./faults.ts";
import { Killed } from "./proxy-node.ts";
import { type Outcome, SimulatedRequest } from "./request.ts";
import { createScenario, type Scenario } from "./scenario.ts";
import { createQuestion } from "./vendor.ts";
import { Halted } from "./virtual-time.ts";
import { World } from "./world.ts";

/** What one seed came to. */
export interface RunReport {
  readonly seed: number;
  /** The same whenever the same happened. */
  readonly hash: string;
  readonly violation: string | undefined;
  /** The last that happened. */
  readonly tail: readonly string[];
  readonly counts: RunCounts;
  readonly drained: DrainReport | undefined;
}

export interface RunCounts {
  happened: number;
  requests: number;
  served: number;
  killed: number;
  deaths: number;
  /** By reason. */
  readonly refused: Record<string, number>;
}

/** The longest that a request or an attempt to die goes on. */
const AFTERMATH_MS = 10_000;

/** Runs one world from its seed; the same seed does the same again. */
export async function runSimulation(
  seed: number,
  scenario: Scenario = createScenario(seed),
): Promise<RunReport> {
  const world = new World(scenario);
  const counts: RunCounts = {
    happened: 0,
    requests: 0,
    served: 0,
    killed: 0,
    deaths: 0,
    refused: {},
  };
  let drained: DrainReport | undefined;
  try {
    await world.begin();
    scheduleFaults(world, scenario.durationMs);
    scheduleRequests(world, counts);
    await world.time.runUntil(scenario.durationMs);
    world.heal();
    await world.time.runUntil(scenario.durationMs + AFTERMATH_MS);
    drained = await drain(world);
  } catch (error) {
    if (!(error instanceof Halted)) {
      world.violation ??= error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
  }
  world.end();
  counts.happened = world.time.happened;
  counts.deaths = world.deaths;
  const { trace, violation } = world;
  return { seed, hash: trace.hash, violation, tail: trace.tail(5_000), counts, drained };
}

function scheduleRequests(world: World, counts: RunCounts): void {
  const { scenario, chance, time } = world;
  const meanMs = 1000 / scenario.requestsPerS;
  let number = 0;
  const arrive = () => {
    // Now and then many come at once.
    const together = chance.happens(0.05) ? chance.integer(2, 12) : 1;
    for (let at = 0; at < together; at += 1) {
      number += 1;
      void request(world, `r${number}`, counts);
    }
    const delayMs = chance.wait(meanMs);
    if (time.nowMs + delayMs < scenario.durationMs) time.schedule(delayMs, arrive);
  };
  time.schedule(chance.wait(meanMs), arrive);
}

async function request(world: World, id: string, counts: RunCounts): Promise<void> {
  const { chance, time, observer, scenario } = world;
  const node = chance.pick(world.proxies);
  const { life } = node;
  if (life === undefined || world.isStopping(node)) return;
  counts.requests += 1;
  const limits = world.drawLimits(node, 0.8);
  world.trace.note(`${id} asks ${node.name} ${limits.map(({ bucket }) => bucket).join(", ")}`);
  const simulated = new SimulatedRequest({
    id,
    time,
    chance,
    observer,
    life,
    limits,
    untilMs: scenario.durationMs,
    question: createQuestion(chance),
    note: (line) => world.trace.note(line),
    onViolation: (text) => world.fail(text),
  });
  try {
    countOutcome(counts, await simulated.run());
  } catch (error) {
    if (error instanceof Killed) return;
    world.fail(`${id} threw ${error instanceof Error ? error.stack : String(error)}`);
  }
}

function countOutcome(counts: RunCounts, outcome: Outcome): void {
  if (outcome === "served") counts.served += 1;
  else if (outcome === "killed") counts.killed += 1;
  else counts.refused[outcome.reason] = (counts.refused[outcome.reason] ?? 0) + 1;
}
