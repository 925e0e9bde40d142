import type { Policy } from "../../gen/weir/admin/v1/policy_pb.ts";
import { compileLimit } from "../../src/mesh/compile-limit.ts";
import { type BoundLimit, bindLimit, type Limit } from "../../src/mesh/limit.ts";
import { loadMigrations } from "../../src/store/migrations.ts";
import { readInteger, readText } from "../../src/store/sql-session.ts";
import { SqlStore } from "../../src/store/sql-store.ts";
import { Chance } from "./chance.ts";
import { ControlNode } from "./control-node.ts";
import { LedgerJudge } from "./ledger-judge.ts";
import { Observer } from "./observer.ts";
import type { Pot } from "./pots.ts";
import { ProxyNode } from "./proxy-node.ts";
import type { Scenario } from "./scenario.ts";
import { Trace } from "./trace.ts";
import { Connection, type NetworkFaults } from "./virtual-network.ts";
import { VirtualStore } from "./virtual-store.ts";
import { NodeClock, VirtualTime } from "./virtual-time.ts";

/** All nodes of a simulated installation, and what joins them. */
export class World {
  readonly scenario: Scenario;
  readonly time = new VirtualTime();
  readonly chance: Chance;
  readonly trace: Trace;
  readonly observer: Observer;
  readonly judge: LedgerJudge;
  readonly store: VirtualStore;
  readonly proxies: readonly ProxyNode[];
  readonly controls: readonly ControlNode[];
  /** The policies as they stand now, for those who hear of changes at once. */
  readonly policies = new Map<string, Pot>();
  /** As each proxy knows them. */
  readonly #views = new Map<ProxyNode, Map<string, Policy>>();
  readonly #limits = new Map<Policy, Limit>();
  readonly #links = new Map<ProxyNode, Link>();
  readonly #stopping = new Set<ProxyNode>();
  network: NetworkFaults;
  /** The first of what must never be. */
  violation: string | undefined;
  /** How often a proxy died. */
  deaths = 0;

  constructor(scenario: Scenario) {
    this.scenario = scenario;
    this.chance = new Chance(scenario.seed);
    this.network = scenario.network;
    const { time, chance } = this;
    this.trace = new Trace(() => time.nowMs);
    const onViolation = (text: string) => this.fail(text);
    const ledgerSkewMs = scenario.storeSkewMs ?? scenario.controlSkewsMs[0] ?? 0;
    this.observer = new Observer({
      nowMs: () => time.nowMs,
      ledgerMs: () => scenario.wallAtStartMs + ledgerSkewMs + time.nowMs,
      onViolation,
    });
    this.store = new VirtualStore(time, chance.fork());
    const note = (line: string) => this.trace.note(line);
    this.controls = scenario.controlSkewsMs.map((skewMs, at) => {
      const wallAtStartMs = scenario.wallAtStartMs + skewMs;
      const name = `control${at}`;
      const { store } = this;
      const shared = scenario.controls > 1;
      const parts = {
        name,
        time,
        chance: chance.fork(),
        store,
        shared,
        wallAtStartMs,
        note,
        onViolation,
      };
      return new ControlNode(parts);
    });
    const disksFail = scenario.faults["disk full"] !== undefined;
    this.judge = new LedgerJudge({ observer: this.observer, disksFail, onViolation });
    this.proxies = scenario.proxySkewsMs.map((skewMs, at) => {
      const wallAtStartMs = () => scenario.wallAtStartMs + skewMs;
      const onDeath = (node: ProxyNode) => this.#died(node);
      const parts = { name: `proxy${at}`, time, chance: chance.fork(), wallAtStartMs, note };
      return new ProxyNode({ ...parts, onDeath });
    });
  }

  /** Migrates the store, and starts everything. */
  async begin(): Promise<void> {
    const folder = new URL("../../src/store/migrations/", import.meta.url);
    const clock = new NodeClock(this.time, { wallAtStartMs: 0, originMs: 0 });
    const backend = this.store.connect(() => true);
    const store = new SqlStore({ backend, migrations: loadMigrations(folder, "sqlite"), clock });
    const migrated = store.migrate();
    await this.time.runUntil(1);
    await migrated;
    this.store.faults = this.scenario.store;
    if (this.scenario.storeSkewMs !== undefined) {
      const wallAtStartMs = this.scenario.wallAtStartMs + this.scenario.storeSkewMs;
      const own = new NodeClock(this.time, { wallAtStartMs, originMs: 0 });
      this.store.clockMs = () => own.wallMs();
    }
    this.store.onCommit = (name, input) => {
      if (name === "reportQuota") this.judge.judge(input, this.store.engine);
    };
    for (const node of this.proxies) this.#views.set(node, new Map());
    for (const pot of this.scenario.pots) this.announce(pot, pot.policy, 0);
    for (const control of this.controls) control.start();
    for (const node of this.proxies) this.startProxy(node);
  }

  fail(text: string): void {
    this.violation ??= text;
    this.trace.note(`VIOLATION ${text}`);
    this.time.isHalted = true;
  }

  /** A policy is written, or deleted; everybody hears of it in their own time. */
  announce(pot: Pot, policy: Policy | undefined, spreadMs: number): void {
    const { name } = pot.policy;
    if (policy === undefined) this.policies.delete(name);
    else {
      this.policies.set(name, { ...pot, policy });
      this.observer.stands(policy);
    }
    const hear = (set: (policy: Policy | undefined) => void) => {
      this.#later(this.chance.unit() * spreadMs, () => set(this.policies.get(name)?.policy));
    };
    for (const control of this.controls) hear((now) => control.setPolicy(name, now));
    for (const view of this.#views.values()) {
      hear((now) => {
        if (now === undefined) view.delete(name);
        else view.set(name, now);
      });
    }
  }

  /** The limits that a proxy would count a request against: each policy with one of its pots. */
  drawLimits(node: ProxyNode, probability: number): readonly BoundLimit[] {
    const bound: BoundLimit[] = [];
    for (const pot of this.scenario.pots) {
      const policy = this.#views.get(node)?.get(pot.policy.name);
      const subject = this.chance.pick(pot.subjects);
      if (!this.chance.happens(probability) || policy === undefined) continue;
      const limit = this.compile(policy);
      if (limit !== undefined) bound.push(bindLimit(limit, subject));
    }
    return bound;
  }

  startProxy(node: ProxyNode): void {
    if (node.life !== undefined) return;
    node.start();
    this.#links.set(node, { connection: undefined, partitionedUntilMs: 0 });
    this.connectSoon(node, this.chance.wait(this.scenario.calm ? 5 : 100));
  }

  connectSoon(node: ProxyNode, delayMs: number): void {
    const { life } = node;
    this.#later(delayMs, () => {
      const link = this.#links.get(node);
      if (life === undefined || node.life !== life || link?.connection !== undefined) return;
      const up = this.controls.filter(({ isUp }) => isUp);
      if (up.length === 0 || link === undefined || this.time.nowMs < link.partitionedUntilMs) {
        this.connectSoon(node, this.chance.between(50, 1_000));
        return;
      }
      this.#connect(node, link, this.chance.pick(up));
    });
  }

  /** The connection ends; the proxy may not come back before a time. */
  disconnect(node: ProxyNode, forMs: number): void {
    const link = this.#links.get(node);
    if (link === undefined) return;
    link.partitionedUntilMs = this.time.nowMs + forMs;
    this.#cut(node, link);
    this.connectSoon(node, Math.max(forMs, this.chance.wait(50)));
  }

  /** In good order: no new requests, those under way end, everything is given back. */
  stopProxy(node: ProxyNode, graceMs: number, stopped: () => void): void {
    const { life } = node;
    if (life === undefined) return;
    this.trace.note(`${node.name}/${life.epoch} is to stop`);
    this.#stopping.add(node);
    this.time.schedule(graceMs, () => {
      if (node.life !== life) {
        this.#stopping.delete(node);
        return;
      }
      const gone = () => {
        this.#stopping.delete(node);
        if (node.life !== life) return;
        node.kill();
        stopped();
      };
      void life.core.close().then(gone);
      // Whoever waits too long for it kills it.
      this.time.schedule(10_000, gone);
    });
  }

  isStopping(node: ProxyNode): boolean {
    return this.#stopping.has(node);
  }

  /** True while it can ask the ledger. */
  isLinked(node: ProxyNode): boolean {
    return node.life !== undefined && this.#links.get(node)?.connection !== undefined;
  }

  killControl(control: ControlNode): void {
    this.trace.note(`${control.name} killed`);
    control.kill();
    for (const [node, link] of this.#links) {
      if (link.control === control) this.disconnect(node, 0);
    }
  }

  /** Everything that hinders is taken away. */
  heal(): void {
    this.trace.note("healed");
    this.network = { delayMs: 1, twice: 0, stall: 0 };
    this.store.faults = { delayMs: 1, failBefore: 0, failAfter: 0 };
    this.store.heal();
    for (const control of this.controls) if (!control.isUp) control.start();
    for (const node of this.proxies) {
      node.disk.full = false;
      node.undoom();
      const link = this.#links.get(node);
      if (link !== undefined) link.partitionedUntilMs = 0;
      if (node.life === undefined) this.startProxy(node);
      else this.connectSoon(node, 0);
    }
  }

  /** One object for a revision of a policy, as its readers expect. */
  compile(policy: Policy): Limit | undefined {
    let limit = this.#limits.get(policy);
    if (limit === undefined) {
      limit = compileLimit(policy);
      if (limit !== undefined) this.#limits.set(policy, limit);
    }
    return limit;
  }

  /** What starts hold that have ended and were never confessed. */
  frozenOf(bucket: string, windowStartMs: number | undefined): number {
    const epochs = new Map(this.proxies.map(({ life }) => [life?.name ?? "", life?.epoch ?? 0]));
    const rows = this.store.engine.rows(
      `SELECT proxy_id, epoch, window_start_ms, granted - confirmed - returned AS held
       FROM quota_leases WHERE bucket = $1 AND closed = 0`,
      [bucket],
    );
    let frozen = 0;
    for (const row of rows) {
      if (readInteger(row, "epoch") === epochs.get(readText(row, "proxy_id"))) continue;
      if (windowStartMs !== undefined && readInteger(row, "window_start_ms") !== windowStartMs) {
        continue;
      }
      frozen += Math.max(0, readInteger(row, "held"));
    }
    return frozen;
  }

  /** Frees what the engine holds. */
  end(): void {
    for (const node of this.proxies) node.life?.kill();
    for (const control of this.controls) control.kill();
    this.store.close();
  }

  #connect(node: ProxyNode, link: Link, control: ControlNode): void {
    const { life } = node;
    if (life === undefined) return;
    this.trace.note(`${life.name}/${life.epoch} connects to ${control.name}`);
    link.control = control;
    const connection = new Connection({
      time: this.time,
      chance: this.chance,
      faults: () => this.network,
      from: { proxyId: life.name, epoch: life.epoch },
      proxy: life.link,
      control: control.accept(),
      onOpen: (opened) => {
        link.connection = opened;
        control.attach(opened);
      },
    });
    // It may have died of the first report that it sent.
    if (!life.alive) connection.end(false);
  }

  #cut(node: ProxyNode, link: Link): void {
    const { connection, control } = link;
    if (connection === undefined) return;
    this.trace.note(`${node.name} disconnected from ${control?.name}`);
    link.connection = undefined;
    link.control = undefined;
    control?.detach(connection);
    connection.end(node.life !== undefined);
  }

  #died(node: ProxyNode): void {
    this.deaths += 1;
    const link = this.#links.get(node);
    if (link !== undefined) this.#cut(node, link);
  }

  #later(delayMs: number, run: () => void): void {
    if (delayMs <= 0) run();
    else this.time.schedule(delayMs, run);
  }
}

interface Link {
  connection: Connection | undefined;
  control?: ControlNode | undefined;
  partitionedUntilMs: number;
}
