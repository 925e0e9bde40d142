import { MeshError } from "../../src/mesh/errors.ts";
import { type BoundLimit, bindLimit } from "../../src/mesh/limit.ts";
import { type LedgerWindow, listLeases, readWindows } from "./ledger-judge.ts";
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
    forfeited += Math.min(1, left.forfeited);
    if (left.unspendable > 1 - SPENDABLE_MIN) {
      world.fail(
        `liveness: ${bound.bucket} says that it is exhausted with ` +
          `${(100 * left.unspendable).toFixed(2)} % of ${bound.limit.amount} unspent`,
      );
    }
    if (world.violation !== undefined) break;
  }
  await runFor(world, 3_000);
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
  if (world.observer.unprovenOf(bucket) > 0) return;
  const booked = (row?.spent ?? 0) + (row?.forfeited ?? 0) + (row?.leased ?? 0);
  if (booked < charged) {
    world.fail(`quiet: ${bucket}@${startMs} was charged ${charged}, and ${booked} is booked`);
  }
  const { blurred } = world.observer;
  if (world.deaths > 0 || blurred.has(bucket)) return;
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
  const booked = measureBooked(world, bound);
  let probed = 0;
  let amount = limit.unit === "requests" ? 1 : Math.max(least, Math.floor(limit.amount / 3));
  for (let asked = 0; asked < 400; asked += 1) {
    const outcome = await probe(world, bound, amount);
    if (outcome === "served") {
      probed += amount;
      continue;
    }
    if (outcome === "killed") return undefined;
    if (outcome.reason !== "BUDGET_EXHAUSTED") {
      world.fail(
        `liveness: ${bucket} refuses ${amount} with ${outcome.reason}: ${outcome.message}`,
      );
      return undefined;
    }
    // What was admitted without proof is booked when its proxy next needs a lease, perhaps just now.
    if (world.observer.unprovenOf(bucket) > 0) return undefined;
    const left = measure(world, bound, booked, probed);
    world.trace.note(`probe of ${amount} refused: ${JSON.stringify(left)}`);
    for (const lease of listLeases(world.store.engine, bucket)) world.trace.note(lease);
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
  // One that was stopped may have started just now.
  const up = world.proxies.filter((node) => !world.isStopping(node) && world.isLinked(node));
  if (up.length === 0) return "killed";
  const { life } = chance.pick(up);
  if (life === undefined) return "killed";
  let outcome: Outcome | undefined;
  const request = new SimulatedRequest({
    id: "probe",
    time,
    chance,
    observer,
    life,
    limits: [bound],
    untilMs: 0,
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

/** What is booked as spent, in the windows that count now, and the newest of them. */
function measureBooked(world: World, { bucket, limit }: BoundLimit): Booked {
  const windows = readWindows(world.store.engine).get(bucket) ?? [];
  const rolls = limit.window?.kind === "rolling" && limit.window.days > 1;
  const counted = rolls ? windows : windows.slice(-1);
  return {
    startMs: windows.at(-1)?.startMs,
    from: rolls ? undefined : windows.at(-1)?.startMs,
    spent: counted.reduce((sum, { spent }) => sum + spent, 0),
    forfeited: counted.reduce((sum, { forfeited }) => sum + forfeited, 0),
  };
}

interface Booked {
  readonly startMs: number | undefined;
  /** The window to look at; undefined for all. */
  readonly from: number | undefined;
  readonly spent: number;
  readonly forfeited: number;
}

/**
 * What nobody has spent and nothing has forfeited, of the newest window: what was booked when all
 * was quiet, and what was probed since. Undefined when another window has begun meanwhile.
 */
function measure(
  world: World,
  bound: BoundLimit,
  before: Booked,
  probed: number,
): { free: number; forfeited: number } | undefined {
  const now = measureBooked(world, bound);
  if (before.startMs !== undefined && now.startMs !== before.startMs) return undefined;
  const frozen = world.frozenOf(bound.bucket, now.from);
  const forfeited = now.forfeited + frozen;
  return { free: bound.limit.amount - before.spent - probed - forfeited, forfeited };
}

function leastOf(unit: string): number {
  return unit === "requests" ? 1 : 100;
}

async function runFor(world: World, ms: number): Promise<void> {
  await world.time.runUntil(world.time.nowMs + ms);
}
