import { describe, expect, it, onTestFinished } from "vitest";
import type { Gossip } from "../mesh/gossip.ts";
import type { ProxyState } from "../mesh/hub.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createJointRegistry, type LocalRegistry } from "./joint-registry.ts";

function proxy(proxyId: string, fields: Partial<ProxyState> = {}): ProxyState {
  return {
    proxyId,
    version: "",
    listen: "",
    revision: 1,
    connectedWallMs: 0,
    refusedRevision: 0,
    refusal: "",
    faults: [],
    ...fields,
  };
}

/** A room in which all hear what one says, unless it is silent. */
class Room {
  readonly #ears = new Map<string, Parameters<Gossip["hear"]>[0]>();
  readonly silent = new Set<string>();

  join(name: string): Gossip {
    return {
      say: (proxies) => {
        if (this.silent.has(name)) return;
        for (const [other, ear] of this.#ears) if (other !== name) ear(name, proxies);
      },
      hear: (listener) => {
        this.#ears.set(name, listener);
        return () => this.#ears.delete(name);
      },
    };
  }
}

/** A control process whose proxies a test moves about. */
function join(room: Room, name: string, clock: VirtualClock) {
  let proxies: readonly ProxyState[] = [];
  const listeners = new Set<() => void>();
  const local: LocalRegistry = {
    list: () => proxies,
    waitForRevision: async (revision) => ({
      confirmed: proxies.filter((each) => each.revision >= revision).length,
      connected: proxies.length,
      refusals: [],
    }),
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const registry = createJointRegistry(local, room.join(name), clock);
  onTestFinished(() => registry.close());
  const set = (...now: ProxyState[]) => {
    proxies = now;
    for (const listener of listeners) listener();
  };
  const ids = () =>
    registry
      .list()
      .map(({ proxyId }) => proxyId)
      .sort();
  return { registry, set, ids };
}

function openTwo() {
  const clock = new VirtualClock();
  const room = new Room();
  const one = join(room, "one", clock);
  const other = join(room, "other", clock);
  return { clock, room, one, other };
}

describe("the registries of two control processes", () => {
  it("list the proxies of both", async () => {
    const { clock, one, other } = openTwo();
    one.set(proxy("a"));
    other.set(proxy("b"), proxy("c"));
    await clock.advance(20);
    expect(one.ids()).toEqual(["a", "b", "c"]);
    expect(other.ids()).toEqual(["a", "b", "c"]);
  });

  it("tell a third that comes later", async () => {
    const { clock, room, one, other } = openTwo();
    one.set(proxy("a"));
    other.set(proxy("b"));
    await clock.advance(20);
    const third = join(room, "third", clock);
    await clock.advance(20);
    expect(third.ids()).toEqual(["a", "b"]);
  });

  it("wait for each other's proxies to confirm a revision", async () => {
    const { clock, one, other } = openTwo();
    one.set(proxy("a", { revision: 2 }));
    other.set(proxy("b"), proxy("c"));
    await clock.advance(20);
    let done = false;
    const waiting = one.registry.waitForRevision(2, 2_000).finally(() => {
      done = true;
    });
    await clock.advance(100);
    expect(done).toBe(false);
    const refusal = "models/m names nothing";
    other.set(proxy("b", { revision: 2 }), proxy("c", { refusedRevision: 2, refusal }));
    await clock.advance(20);
    expect(await waiting).toEqual({ confirmed: 2, connected: 3, refusals: [refusal] });
    expect(clock.now()).toBeLessThan(1_000);
  });

  it("wait no longer than they shall", async () => {
    const { clock, one, other } = openTwo();
    other.set(proxy("b"));
    await clock.advance(20);
    const waiting = one.registry.waitForRevision(2, 2_000);
    await clock.advance(2_000);
    expect(await waiting).toEqual({ confirmed: 0, connected: 1, refusals: [] });
  });

  it("do not wait for a proxy that has gone", async () => {
    const { clock, one, other } = openTwo();
    other.set(proxy("b"));
    await clock.advance(20);
    const waiting = one.registry.waitForRevision(2, 2_000);
    other.set();
    await clock.advance(20);
    expect(await waiting).toEqual({ confirmed: 0, connected: 1, refusals: [] });
    expect(one.ids()).toEqual([]);
  });

  it("count a proxy once that has moved from one to the other", async () => {
    const { clock, room, one, other } = openTwo();
    other.set(proxy("a"));
    await clock.advance(20);
    room.silent.add("other");
    one.set(proxy("a", { revision: 2, connectedWallMs: 9 }));
    expect(one.registry.list()).toMatchObject([{ proxyId: "a", revision: 2 }]);
    const confirmations = { confirmed: 1, connected: 1, refusals: [] };
    expect(await one.registry.waitForRevision(2, 2_000)).toEqual(confirmations);
  });

  it("forget the proxies of one that was killed, and not of one that is only slow", async () => {
    const { clock, room, one, other } = openTwo();
    other.set(proxy("b"));
    await clock.advance(15_000);
    expect(one.ids()).toEqual(["b"]);
    room.silent.add("other");
    await clock.advance(15_000);
    expect(one.ids()).toEqual(["b"]);
    await clock.advance(6_000);
    expect(one.ids()).toEqual([]);
  });

  it("forget at once the proxies of one that says goodbye", async () => {
    const { clock, one, other } = openTwo();
    other.set(proxy("b"));
    await clock.advance(20);
    other.registry.close();
    expect(one.ids()).toEqual([]);
  });
});
