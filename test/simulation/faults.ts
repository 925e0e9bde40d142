import type { Chance } from "./chance.ts";
import type { Pot } from "./pots.ts";
import { readAmount, withAmount, withWindow } from "./pots.ts";
import type { Doom, ProxyNode } from "./proxy-node.ts";
import { type FaultKind, faultKinds } from "./scenario.ts";
import type { World } from "./world.ts";

const dooms: readonly Doom[] = ["before write", "after write", "after send", "after reply"];

/** Lets the faults of a scenario happen until a time. */
export function scheduleFaults(world: World, untilMs: number): void {
  const chance = world.chance.fork();
  for (const kind of faultKinds) {
    const meanMs = world.scenario.faults[kind];
    if (meanMs === undefined) continue;
    const next = () => {
      const delayMs = chance.wait(meanMs);
      if (world.time.nowMs + delayMs > untilMs) return;
      world.time.schedule(delayMs, () => {
        world.trace.note(`fault: ${kind}`);
        faults[kind](world, chance);
        next();
      });
    };
    next();
  }
}

const faults: Readonly<Record<FaultKind, (world: World, chance: Chance) => void>> = {
  kill: (world, chance) => {
    const node = chance.pick(world.proxies);
    node.kill();
    restartSoon(world, chance, node);
  },
  doom: (world, chance) => {
    const node = chance.pick(world.proxies);
    node.doom(chance.pick(dooms));
    // It dies when it next does that; somebody looks now and then.
    const look = () => {
      if (node.life !== undefined && node.isDoomed) world.time.schedule(500, look);
      else restartSoon(world, chance, node);
    };
    look();
  },
  "machine crash": (world, chance) => {
    const node = chance.pick(world.proxies);
    node.kill();
    const keeps = chance.unit();
    node.disk.crash(() => chance.happens(keeps));
    restartSoon(world, chance, node);
  },
  stop: (world, chance) => {
    const node = chance.pick(world.proxies);
    world.stopProxy(node, chance.between(0, 3_000), () => restartSoon(world, chance, node));
  },
  disconnect: (world, chance) => world.disconnect(chance.pick(world.proxies), 0),
  partition: (world, chance) => {
    world.disconnect(chance.pick(world.proxies), chance.magnitude(200, 20_000));
  },
  "disk full": (world, chance) => {
    const { disk } = chance.pick(world.proxies);
    disk.full = true;
    world.time.schedule(chance.magnitude(100, 10_000), () => {
      disk.full = false;
    });
  },
  "control kill": (world, chance) => {
    const control = chance.pick(world.controls);
    if (!control.isUp) return;
    world.killControl(control);
    world.time.schedule(chance.magnitude(50, 5_000), () => {
      if (!control.isUp) control.start();
    });
  },
  "store refuses": (world, chance) => failStore(world, chance, "refuses"),
  "store hangs": (world, chance) => failStore(world, chance, "hangs"),
  raise: (world, chance) => edit(world, chance, (pot) => scale(pot, chance.between(1, 2))),
  lower: (world, chance) => edit(world, chance, (pot) => scale(pot, chance.between(0, 1))),
  delete: (world, chance) => {
    const pot = edit(world, chance, () => undefined);
    if (pot === undefined) return;
    world.time.schedule(chance.magnitude(100, 10_000), () => {
      world.announce(pot, pot.policy, 1_000);
    });
  },
  reform: (world, chance) => edit(world, chance, (pot) => withWindow(pot.policy, chance)),
  "clock jump": (world, chance) => {
    // A store's ledger has the newest window of its controls; proxies must not care at all.
    chance.pick(world.proxies).life?.clock.jump(chance.between(-86_400_000, 86_400_000));
  },
};

function restartSoon(world: World, chance: Chance, node: ProxyNode): void {
  world.time.schedule(chance.magnitude(20, 8_000), () => {
    if (node.life === undefined) world.startProxy(node);
  });
}

function failStore(world: World, chance: Chance, how: "refuses" | "hangs"): void {
  world.store.fail(how);
  world.time.schedule(chance.magnitude(50, 12_000), () => world.store.heal());
}

function edit(
  world: World,
  chance: Chance,
  change: (pot: Pot) => Pot["policy"] | undefined,
): Pot | undefined {
  const standing = [...world.policies.values()];
  if (standing.length === 0) return undefined;
  const pot = chance.pick(standing);
  const policy = change(pot);
  world.trace.note(`${pot.policy.name} ${readAmount(pot.policy)} becomes ${describe(policy)}`);
  world.announce(pot, policy, chance.between(1, 3_000));
  return pot;
}

function scale(pot: Pot, factor: number): Pot["policy"] {
  return withAmount(pot.policy, readAmount(pot.policy) * factor);
}

function describe(policy: Pot["policy"] | undefined): string {
  return policy === undefined ? "nothing" : String(readAmount(policy));
}
