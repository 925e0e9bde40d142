import { setTimeout as delay } from "node:timers/promises";
import { createSeededRandom } from "../../src/mesh/random.ts";
import { until } from "./own-process.ts";
import { auditFleet, type Finding, type QuotaAudit, sumBilled } from "./quota-audit.ts";
import {
  type Booked,
  type FleetProxy,
  type QuotaFleet,
  requestBudget,
  startFleet,
  teamBudget,
} from "./quota-fleet.ts";
import { type LoadShape, Phase, QuotaLoad } from "./quota-load.ts";

/** What is done to a team's dollar. */
export interface OrdealOptions {
  readonly proxies: number;
  /** Requests at once. */
  readonly clients: number;
  /** How long the store is away. */
  readonly outageMs: number;
  /** `freeze`: it is there and does not answer; `stop`: it ends, and is started again. */
  readonly outage: "freeze" | "stop";
  /** How long the load goes on before and after, at most. */
  readonly warmMs: number;
  readonly spendMs: number;
  /** What clients ask until the store is back. */
  readonly shape: LoadShape;
  /** What they ask from then on, to spend the rest. */
  readonly spending: LoadShape;
  readonly ceiling: number;
  /** So much longer than its upstream an answer may take: a bound of what hangs. */
  readonly lateMsMax: number;
  readonly seed: number;
  readonly log: (text: string) => void;
}

/** What was measured. */
export interface Ordeal {
  readonly phases: readonly Phase[];
  readonly audit: QuotaAudit;
  /** What is not as it must be; none when all is well. */
  readonly findings: readonly Finding[];
}

const LIMITS = ["dollar", "telling", "asked"];
/** Paces are unsteady, and the load of the one that is killed goes to the others. */
const HELD_TIMES = 2;
const SURVIVE_TIMES = 3;
const PACE_MS = 10_000;
const GROW_MS_MAX = 90_000;

const DRAIN_MS_MAX = 60_000;
const DRAIN_CLIENTS = 8;
const DRAIN_EACH = 6;

const smaller: readonly LoadShape[] = [
  { answerMs: [5, 20], promptBytes: [1_000, 1_000], output: [5, 5], plain: 100 },
  { answerMs: [5, 20], promptBytes: [200, 200], output: [1, 1], plain: 100 },
];

/**
 * Four proxies and one Postgres, and a load of all that goes wrong; in the middle the store goes
 * away and a proxy is killed. At the end what is left is spent to the last, and the upstream's
 * account is held against the ledger.
 */
export async function undergo(options: OrdealOptions): Promise<Ordeal> {
  const { log, ceiling } = options;
  const fleet = await startFleet(options.proxies);
  try {
    await fleet.createModels(["telling", "rough", "failing"]);
    const surviveSeconds = Math.ceil((SURVIVE_TIMES * options.outageMs) / 1_000) + 30;
    await fleet.limit("dollar", teamBudget(BigInt(ceiling), surviveSeconds));
    await fleet.limit("telling", teamBudget(1_000_000_000_000n, surviveSeconds), "telling");
    await fleet.limit("asked", requestBudget(1_000_000_000n, surviveSeconds), "telling");
    await fleet.settled();
    log(`${options.proxies} proxies serve`);
    const guard = new Guard(fleet, ceiling);
    const phases = await endure(fleet, guard, options).finally(() => guard.end());
    const audit = await auditFleet(fleet, ceiling);
    const findings = [
      ...guard.findings,
      ...judgePhases(phases, options.lateMsMax),
      ...audit.findings,
    ];
    return { phases, audit, findings };
  } finally {
    await fleet.end();
  }
}

async function endure(
  fleet: QuotaFleet,
  guard: Guard,
  options: OrdealOptions,
): Promise<readonly Phase[]> {
  const { log, outageMs, shape, spending } = options;
  const before = new Phase("before", shape);
  const outage = new Phase("outage", shape);
  const after = new Phase("after", spending);
  const load = new QuotaLoad(fleet.proxies, createSeededRandom(options.seed), before);
  load.start(options.clients, options.warmMs + outageMs + options.spendMs + 120_000);
  await delay(options.warmMs);
  await growLeases(fleet, options);
  guard.blind = true;
  if (options.outage === "freeze") fleet.postgres.freeze();
  else await fleet.postgres.stop();
  load.phase = outage;
  log(`the store is away (${options.outage})`);
  const victim = fleet.proxies.at(-1);
  await delay(outageMs / 3);
  await victim?.kill();
  log(`${victim?.id} is killed`);
  await delay(outageMs / 6);
  victim?.restart();
  await delay(outageMs / 2);
  if (options.outage === "freeze") fleet.postgres.thaw();
  else await fleet.postgres.start();
  load.phase = after;
  guard.blind = false;
  log("the store is back");
  const silent = () => `the ledger answers the proxy that was killed: ${describe(after, victim)}`;
  await until(silent, 90_000, () => {
    return after.killed.served + after.killed.exhausted > 0;
  });
  await spend(after, options.spendMs);
  await load.stop();
  const drains = smaller.map((each, n) => new Phase(`drain ${n + 1}`, each));
  for (const drain of drains) {
    load.phase = drain;
    log(drain.name);
    await exhaust(load, drain);
  }
  await load.close();
  return [before, outage, after, ...drains];
}

/**
 * Waits until each proxy holds more of each limit than it will spend in the outage at its pace of
 * the last ten seconds. Only then must everybody be served.
 */
async function growLeases(fleet: QuotaFleet, { outageMs }: OrdealOptions): Promise<void> {
  const read = () => Promise.all(LIMITS.map((policy) => fleet.readBooked(policy)));
  const readings: { readonly atMs: number; readonly limits: readonly Booked[][] }[] = [];
  await until("the proxies hold what the outage will take", GROW_MS_MAX, async () => {
    await delay(1_000);
    const limits = await read().catch(() => undefined);
    if (limits === undefined) return false;
    const now = { atMs: performance.now(), limits };
    readings.push(now);
    while (readings.length > 2 && now.atMs - (readings[1]?.atMs ?? 0) > PACE_MS) readings.shift();
    const [began] = readings;
    if (began === undefined || began === now) return false;
    return now.limits.every((leases, n) =>
      fleet.proxies.every(({ id }) => {
        const before = began.limits[n]?.find(({ proxyId }) => proxyId === id)?.confirmed ?? 0;
        const lease = leases.find(({ proxyId }) => proxyId === id);
        if (lease === undefined || lease.confirmed === before) return false;
        const pace = (lease.confirmed - before) / (now.atMs - began.atMs);
        return lease.held - lease.outstanding > HELD_TIMES * pace * outageMs;
      }),
    );
  });
}

function describe({ killed }: Phase, proxy: FleetProxy | undefined): string {
  const { sent, unproven, lost, failed, left } = killed;
  const words = [...killed.words.keys(), ...killed.odd.keys()].join(" ");
  const said = proxy?.output.slice(-2_000);
  return `${sent} sent, ${unproven} 503, ${lost} lost, ${failed + left} others. ${words}\n${said}`;
}

/** Until hardly anybody is served, or the time is over. */
async function spend({ steady }: Phase, msMax: number): Promise<void> {
  const endMs = performance.now() + msMax;
  while (performance.now() < endMs) {
    const { served, exhausted } = steady;
    await delay(1_000);
    if (steady.exhausted - exhausted > 4 * (steady.served - served)) return;
  }
}

/** Asks until all of them say that nothing is left. */
async function exhaust(load: QuotaLoad, { steady, killed }: Phase): Promise<void> {
  const endMs = performance.now() + DRAIN_MS_MAX;
  const countOpen = () => steady.served + killed.served + steady.unproven + killed.unproven;
  for (let quiet = 0; quiet < 2 && performance.now() < endMs; ) {
    const before = countOpen();
    const client = async () => {
      for (let n = 0; n < DRAIN_EACH; n += 1) await load.one();
    };
    await Promise.all(Array.from({ length: DRAIN_CLIENTS }, client));
    quiet = countOpen() > before ? 0 : quiet + 1;
    // What was just settled is reported within a second, and may be asked for from then on.
    if (quiet === 1) await delay(1_500);
  }
}

function judgePhases(phases: readonly Phase[], lateMsMax: number): Finding[] {
  const findings: Finding[] = [];
  for (const { name, steady, killed } of phases) {
    for (const [what, count] of [...steady.odd, ...killed.odd]) {
      findings.push(`${name}: ${count} times ${what}`);
    }
    if (steady.lost > 0)
      findings.push(`${name}: ${steady.lost} were lost though nobody was killed`);
    const late = Math.max(steady.lateMsMax, killed.lateMsMax);
    if (late > lateMsMax) findings.push(`${name}: somebody waited ${Math.round(late)} ms`);
    if (name !== "before" && name !== "outage") continue;
    if (steady.served === 0) findings.push(`${name}: nobody was served`);
    // At the beginning nothing is held, and a ledger on a busy machine may be slow to grant.
    const refused = steady.exhausted + (name === "outage" ? steady.unproven : 0);
    if (refused > 0) {
      const words = [...steady.words.keys()].join(" ");
      findings.push(`${name}: ${refused} were refused though there was money: ${words}`);
    }
  }
  return findings;
}

/** Looks all the time that nothing is over the ceiling, neither billed nor booked. */
class Guard {
  readonly findings: Finding[] = [];
  /** The store is away. */
  blind = false;
  readonly #fleet: QuotaFleet;
  readonly #ceiling: number;
  readonly #watching: Promise<void>;
  #ended = false;

  constructor(fleet: QuotaFleet, ceiling: number) {
    this.#fleet = fleet;
    this.#ceiling = ceiling;
    this.#watching = this.#watch();
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#watching;
  }

  async #watch(): Promise<void> {
    while (!this.#ended) {
      const billed = sumBilled(await this.#fleet.readAccount());
      if (billed > this.#ceiling) this.findings.push(`the upstream has billed ${billed}`);
      if (!this.blind) await this.#look();
      await delay(500);
    }
  }

  async #look(): Promise<void> {
    // It may have gone away just now, or be busy: what is read is judged.
    const sums = await this.#fleet.readSums("dollar").catch(() => undefined);
    if (sums === undefined) return;
    const { spent, leased, forfeited } = sums;
    if (spent + leased + forfeited <= this.#ceiling) return;
    this.findings.push(`the ledger: ${spent} spent + ${leased} held + ${forfeited} forfeited`);
  }
}
