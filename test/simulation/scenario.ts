import { Chance } from "./chance.ts";
import { createPots, type Pot } from "./pots.ts";
import type { NetworkFaults } from "./virtual-network.ts";
import type { StoreFaults } from "./virtual-store.ts";

/** All that a seed decides before the world begins. */
export interface Scenario {
  readonly seed: number;
  /** Nothing goes wrong in it but what a healthy installation sees. */
  readonly calm: boolean;
  readonly durationMs: number;
  readonly proxies: number;
  readonly controls: number;
  /** What a clock without skew shows when the world begins. */
  readonly wallAtStartMs: number;
  readonly proxySkewsMs: readonly number[];
  readonly controlSkewsMs: readonly number[];
  /** Of the database's own clock; undefined where it has none. */
  readonly storeSkewMs: number | undefined;
  readonly pots: readonly Pot[];
  /** Requests a second, over all proxies. */
  readonly requestsPerS: number;
  readonly network: NetworkFaults;
  readonly store: StoreFaults;
  /** Mean time between faults of each kind, in milliseconds; absent for those that do not occur. */
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>;
}

export const faultKinds = [
  "kill",
  "doom",
  "machine crash",
  "stop",
  "disconnect",
  "partition",
  "disk full",
  "control kill",
  "store refuses",
  "store hangs",
  "raise",
  "lower",
  "delete",
  "reform",
  "clock jump",
] as const;

export type FaultKind = (typeof faultKinds)[number];

export function createScenario(seed: number): Scenario {
  const chance = new Chance(Math.imul(seed, 0x9e3779b1));
  const calm = chance.happens(0.2);
  const proxies = chance.happens(0.07) ? chance.integer(8, 24) : chance.integer(2, 6);
  const controls = chance.integer(1, 3);
  // Most worlds are short, so that many can be seen.
  const long = chance.happens(0.08);
  const durationMs = (long ? chance.integer(30, 90) : chance.integer(6, 20)) * 1000;
  const requests = long ? chance.integer(100, 400) : chance.integer(40, 140);
  const skew = () => (calm ? 0 : Math.round(chance.between(-60_000, 60_000)));
  // Controls that share a file share a machine; else the database has a clock of its own.
  const shared = skew();
  const server = chance.happens(0.4);
  return {
    seed,
    calm,
    durationMs,
    proxies,
    controls,
    wallAtStartMs: chooseBeginning(chance, durationMs) - shared,
    proxySkewsMs: Array.from({ length: proxies }, skew),
    controlSkewsMs: Array.from({ length: controls }, () => (server ? skew() : shared)),
    storeSkewMs: server ? shared : undefined,
    pots: createPots(chance),
    requestsPerS: (requests / durationMs) * 1000,
    network: {
      delayMs: chance.magnitude(0.2, calm ? 10 : 60),
      twice: calm ? 0 : chance.pick([0, 0.05, 0.3]),
      stall: calm ? 0 : chance.pick([0, 0.01, 0.05]),
    },
    store: {
      delayMs: chance.magnitude(0.3, calm ? 5 : 30),
      failBefore: calm ? 0 : chance.pick([0, 0.02, 0.2]),
      failAfter: calm ? 0 : chance.pick([0, 0.02, 0.2]),
    },
    faults: calm ? {} : chooseFaults(chance, durationMs),
  };
}

function chooseFaults(chance: Chance, durationMs: number): Scenario["faults"] {
  const faults: Partial<Record<FaultKind, number>> = {};
  for (const kind of faultKinds) {
    if (!chance.happens(isEdit(kind) ? 0.15 : 0.35)) continue;
    faults[kind] = durationMs / chance.magnitude(0.5, isEdit(kind) ? 4 : 12);
  }
  return faults;
}

function isEdit(kind: FaultKind): boolean {
  return kind === "raise" || kind === "lower" || kind === "delete" || kind === "reform";
}

/** Some time of some year; often shortly before a minute, a day or a month ends somewhere. */
function chooseBeginning(chance: Chance, durationMs: number): number {
  const monthStart = Date.UTC(2026, chance.integer(0, 23), 1);
  // Berlin is one or two hours ahead of UTC, Kolkata five and a half.
  const zoneMs = chance.pick([0, 1, 2, 5.5]) * 3_600_000;
  const boundary = monthStart + chance.pick([0, 0, chance.integer(1, 27)]) * 86_400_000 - zoneMs;
  if (chance.happens(0.6)) return Math.round(boundary - chance.unit() * durationMs);
  return Math.round(boundary + chance.unit() * 86_400_000 * 20);
}
