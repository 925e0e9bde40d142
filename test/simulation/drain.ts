import { MeshError } from "../../src/mesh/errors.ts";
import { type BoundLimit, bindLimit } from "../../src/mesh/limit.ts";
import { type LedgerWindow, readWindows } from "./ledger-judge.ts";
import { type AttemptPlan, type Outcome, SimulatedRequest } from "./request.ts";
import { createExactQuestion } from "./vendor.ts";
import type { World } from "./world.ts";

/** What could be spent of what was there, over all buckets that could be judged. */
export interface DrainReport {
  readonly buckets: number;
  /** The least share of a ceiling that could be spent, what was forfeited aside. */
  readonly leastSpendable: number;
  /** Shares of ceilings that crashes forfeited, summed. */
  readonly forfeited: number;
}

const SPENDABLE_MIN = 0.99;

/**
 * Everything is well again and nobody asks: checks that nothing stays taken, then spends what is
 * left of each budget, to the last hundredth.
 */
export async function drain(world: World): Promise<DrainReport> {
  judgeQuiet(world);
  let leastSpendable = 1;
  let forfeited = 0;
  let buckets = 0;
  for (const bound of listBudgets(world)) {
    const left = await spendAll(world, bound);
    if (left === undefined) continue;
    buckets += 1;
    leastSpendable = Math.min(leastSpendable, 1 - left.unspendable);
    forfeited += left.forfeited;
    if (left.unspendable > 1 - SPENDABLE_MIN) {
      world.fail(
        `liveness: ${bound.bucket} says that it is exhausted with ` +
          `${(100 * left.unspendable).toFixed(2)} % of ${bound.limit.amount} unspent`,
      );
    }
    if (world.violation !== undefined) break;
  }
  await runFor(world, 5_000);
  judgeQuiet(world);
  return { buckets, leastSpendable, forfeited };
}

/** Nothing is under way: what is reserved is nothing, and the ledger has booked every charge. */
function judgeQuiet(world: World): void {
  for (const { life, name } of world.proxies) {
    const wrong = life?.core.invariant();
    if (wrong !== undefined && wrong.length > 0) world.fail(`invariant: ${name}: ${wrong}`);
    const open = life?.core.open() ?? 0;
    if (open !== 0) world.fail(`quiet: ${name} has ${open} reservations open`);
  }
  const ledger = readWindows(world.store.engine);
  for (const bucket of world.observer.buckets) {
    const limit = world.observer.limitOf(bucket);
    if (limit === undefined || limit.kind !== "budget" || limit.audit) continue;
    const windows = ledger.get(bucket) ?? [];
    for (const [startMs, charged] of world.observer.windowsOf(bucket)) {
      judgeBooked(world, { bucket, startMs, charged }, windows);
    }
  }
}

function judgeBooked(
  world: World,
  { bucket, startMs, charged }: { bucket: string; startMs: number; charged: number },
  windows: readonly LedgerWindow[],
): void {
  const row = windows.find((each) => each.startMs === startMs);
  const booked = (row?.spent ?? 0) + (row?.forfeited ?? 0) + (row?.leased ?? 0);
  if (booked < charged) {
    world.fail(`quiet: ${bucket}@${startMs} was charged ${charged}, and ${booked} is booked`);
  }
  const { blurred } = world.observer;
  if (world.deaths > 0 || blurred.has(bucket) || world.observer.unprovenOf(bucket) > 0) return;
  if (row?.spent !== charged) {
    world.fail(`quiet: ${bucket}@${startMs} was charged ${charged}, and ${row?.spent} is booked`);
  }
}

/** Each budget's pots that somebody has used. */
function listBudgets(world: World): readonly BoundLimit[] {
  return [...world.policies.values()].flatMap((pot) => {
    const limit = world.compile(pot.policy);
    if (limit === undefined || limit.kind !== "budget" || limit.audit) return [];
    if (limit.amount === 0) return [];
    return pot.subjects.map((subject) => bindLimit(limit, subject));
  });
}

const PLAN: AttemptPlan = { durationMs: 20, end: "counted", full: true };

interface Left {
  readonly unspendable: number;
  readonly forfeited: number;
}

/** Asks for ever less until the least share worth asking for is refused; undefined when it ends. */
async function spendAll(world: World, bound: BoundLimit): Promise<Left | undefined> {
  const { limit, bucket } = bound;
  const least = Math.max(leastOf(limit.unit), Math.floor(limit.amount / 250));
  let amount = limit.unit === "requests" ? 1 : Math.max(least, Math.floor(limit.amount / 3));
  for (let asked = 0; asked < 400; asked += 1) {
    const outcome = await probe(world, bound, amount);
    if (outcome === "served") continue;
    if (outcome === "killed") return undefined;
    if (outcome.reason !== "BUDGET_EXHAUSTED") {
      world.fail(
        `liveness: ${bucket} refuses ${amount} with ${outcome.reason}: ${outcome.message}`,
      );
      return undefined;
    }
    const left = measure(world, bound);
    world.trace.note(`probe of ${amount} refused: ${JSON.stringify(left)}`);
    if (left === undefined) return undefined;
    if (left.free >= amount) {
      world.fail(`liveness: ${bucket} refuses ${amount} with ${left.free} free`);
      return undefined;
    }
    if (amount <= least) {
      return { unspendable: left.free / limit.amount, forfeited: left.forfeited / limit.amount };
    }
    amount = Math.max(least, Math.floor(Math.min(amount / 2, Math.max(left.free, least))));
  }
  return undefined;
}

async function probe(world: World, bound: BoundLimit, amount: number): Promise<Outcome> {
  const { chance, time, observer } = world;
  const life = chance.pick(world.proxies).life;
  if (life === undefined) throw new Error("a proxy is down after everything has healed");
  let outcome: Outcome | undefined;
  const request = new SimulatedRequest({
    id: "probe",
    time,
    chance,
    observer,
    life,
    limits: [bound],
    question: createExactQuestion(bound.limit.unit, amount),
    note: (line) => world.trace.note(line),
    onViolation: (text) => world.fail(text),
    plan: PLAN,
  });
  request.run().then(
    (ended) => {
      outcome = ended;
    },
    (error: unknown) => {
      outcome = new MeshError("INTERNAL", String(error));
    },
  );
  for (let waits = 0; waits < 100 && outcome === undefined; waits += 1) await runFor(world, 50);
  if (outcome === undefined) throw new Error(`a probe of ${bound.bucket} never ends`);
  return outcome;
}

/**
 * What nobody has spent and nothing has forfeited, of the newest window; undefined while an earlier
 * edit or an unproven admission makes that meaningless.
 */
function measure(world: World, bound: BoundLimit): { free: number; forfeited: number } | undefined {
  const { bucket, limit } = bound;
  const windows = readWindows(world.store.engine).get(bucket) ?? [];
  const newest = windows.at(-1);
  if (newest === undefined) return { free: limit.amount, forfeited: 0 };
  const rolls = limit.window?.kind === "rolling" && limit.window.days > 1;
  let spent = 0;
  let lost = 0;
  for (const row of rolls ? windows : [newest]) {
    spent += row.spent;
    lost += row.forfeited;
  }
  // Spent since the last report, and frozen leases of starts that have not been confessed yet.
  const charged = world.observer.chargesOf(bound, newest.startMs);
  const frozen = world.frozenOf(bucket, rolls ? undefined : newest.startMs);
  return {
    free: limit.amount - Math.max(spent, charged) - lost - frozen,
    forfeited: lost + frozen,
  };
}

function leastOf(unit: string): number {
  return unit === "requests" ? 1 : 100;
}

async function runFor(world: World, ms: number): Promise<void> {
  await world.time.runUntil(world.time.nowMs + ms);
}
