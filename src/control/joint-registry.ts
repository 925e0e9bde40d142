import type { Clock, Timer } from "../mesh/clock.ts";
import type { Gossip } from "../mesh/gossip.ts";
import type { Confirmations, ProxyRegistry, ProxyState } from "../mesh/hub.ts";

/** How often a process says what it knows although nothing has changed. */
const REPEAT_MS = 5_000;
/** A process that has said nothing for so long is gone, and its proxies are elsewhere. */
const SILENCE_MS = 16_000;
/** Proxies answer a commit at about the same time: they are told of together. */
const GATHER_MS = 20;
/** More control processes than anybody runs. */
const OTHERS_MAX = 256;

/** The registry of one process, and how it tells of changes. */
export interface LocalRegistry extends ProxyRegistry {
  /** Calls `listener` when a proxy comes, goes, confirms or refuses. Returns how to stop. */
  onChange(listener: () => void): () => void;
}

/** A registry of the proxies of all control processes. */
export interface JointRegistry extends ProxyRegistry {
  close(): void;
}

/**
 * Joins what this process knows of proxies with what the others say of theirs, so that each can
 * answer for all: which there are, and whether they have confirmed a revision.
 */
export function createJointRegistry(
  local: LocalRegistry,
  gossip: Gossip,
  clock: Clock,
): JointRegistry {
  return new Joint(local, gossip, clock);
}

/** What another process has said. */
interface Said {
  readonly proxies: readonly ProxyState[];
  readonly heardMs: number;
}

class Joint implements JointRegistry {
  readonly #local: LocalRegistry;
  readonly #gossip: Gossip;
  readonly #clock: Clock;
  readonly #others = new Map<string, Said>();
  /** Each waits for one administrative write, and those have a time limit. */
  readonly #waiting = new Set<() => void>();
  readonly #stops: readonly (() => void)[];
  #gathering: Timer | undefined;

  constructor(local: LocalRegistry, gossip: Gossip, clock: Clock) {
    this.#local = local;
    this.#gossip = gossip;
    this.#clock = clock;
    const repeat = clock.every(REPEAT_MS, () => this.#say());
    this.#stops = [
      () => repeat.cancel(),
      gossip.hear((from, proxies) => this.#hear(from, proxies)),
      local.onChange(() => this.#gather()),
    ];
    this.#say();
  }

  list(): readonly ProxyState[] {
    const byId = new Map<string, ProxyState>();
    for (const proxy of this.#listOthers()) {
      const known = byId.get(proxy.proxyId);
      if (known === undefined || known.connectedWallMs < proxy.connectedWallMs) {
        byId.set(proxy.proxyId, proxy);
      }
    }
    // One that is joined here has left whoever else still tells of it.
    for (const proxy of this.#local.list()) byId.set(proxy.proxyId, proxy);
    return [...byId.values()];
  }

  async waitForRevision(revision: number, waitMs: number): Promise<Confirmations> {
    const here = new Set(this.#local.list().map(({ proxyId }) => proxyId));
    const elsewhere = this.list().filter(({ proxyId }) => !here.has(proxyId));
    const [mine, theirs] = await Promise.all([
      this.#local.waitForRevision(revision, waitMs),
      this.#waitForOthers(elsewhere, revision, waitMs),
    ]);
    return {
      confirmed: mine.confirmed + theirs.confirmed,
      connected: mine.connected + theirs.connected,
      refusals: [...mine.refusals, ...theirs.refusals],
    };
  }

  close(): void {
    for (const stop of this.#stops) stop();
    this.#gathering?.cancel();
    // Nobody shall wait for proxies that are about to go elsewhere.
    this.#gossip.say([]);
    for (const check of [...this.#waiting]) check();
  }

  #waitForOthers(
    proxies: readonly ProxyState[],
    revision: number,
    waitMs: number,
  ): Promise<Confirmations> {
    const { promise, resolve } = Promise.withResolvers<Confirmations>();
    const read = () => {
      const now = new Map(this.list().map((proxy) => [proxy.proxyId, proxy]));
      return proxies.map(({ proxyId }) => now.get(proxyId));
    };
    const finish = () => {
      this.#waiting.delete(check);
      timer.cancel();
      resolve(count(read(), revision));
    };
    const check = () => {
      if (read().every((proxy) => isDone(proxy, revision))) finish();
    };
    const timer = this.#clock.after(waitMs, finish);
    this.#waiting.add(check);
    check();
    return promise;
  }

  *#listOthers(): Iterable<ProxyState> {
    const nowMs = this.#clock.now();
    for (const [from, { proxies, heardMs }] of this.#others) {
      if (nowMs - heardMs > SILENCE_MS) this.#others.delete(from);
      else yield* proxies;
    }
  }

  #hear(from: string, proxies: readonly ProxyState[]): void {
    const stranger = !this.#others.has(from);
    if (stranger && this.#others.size >= OTHERS_MAX) return;
    this.#others.set(from, { proxies, heardMs: this.#clock.now() });
    // Who has just come knows of nobody.
    if (stranger) this.#gather();
    for (const check of [...this.#waiting]) check();
  }

  #gather(): void {
    this.#gathering ??= this.#clock.after(GATHER_MS, () => this.#say());
    for (const check of [...this.#waiting]) check();
  }

  #say(): void {
    this.#gathering?.cancel();
    this.#gathering = undefined;
    this.#gossip.say(this.#local.list());
  }
}

/** A proxy that is gone cannot be waited for. */
function isDone(proxy: ProxyState | undefined, revision: number): boolean {
  if (proxy === undefined) return true;
  return proxy.revision >= revision || proxy.refusedRevision >= revision;
}

function count(proxies: readonly (ProxyState | undefined)[], revision: number): Confirmations {
  const known = proxies.filter((proxy) => proxy !== undefined);
  return {
    confirmed: known.filter((proxy) => proxy.revision >= revision).length,
    connected: proxies.length,
    refusals: known
      .filter((proxy) => proxy.revision < revision && proxy.refusedRevision >= revision)
      .map(({ refusal }) => refusal),
  };
}
