import type { Policy } from "../../gen/weir/admin/v1/policy_pb.ts";
import type { QuotaReply } from "../../gen/weir/link/v1/link_service_pb.ts";
import type { Chance } from "./chance.ts";
import { type ControlCore, createControlCore } from "./cores.ts";
import type { Connection, ControlEnd } from "./virtual-network.ts";
import type { VirtualStore } from "./virtual-store.ts";
import { NodeClock, type VirtualTime } from "./virtual-time.ts";

export interface ControlParts {
  readonly name: string;
  readonly time: VirtualTime;
  readonly chance: Chance;
  readonly store: VirtualStore;
  readonly wallAtStartMs: number;
  /** True when it is one of several. */
  readonly shared: boolean;
  readonly note: (line: string) => void;
  /** Told of what a control must never do. */
  readonly onViolation: (text: string) => void;
}

/** A control plane's process, its restarts, and how old its view of the policies is. */
export class ControlNode {
  readonly #parts: ControlParts;
  /** What it takes the policies to be. */
  readonly #policies = new Map<string, Policy>();
  readonly #connections = new Set<Connection>();
  #life: Life | undefined;

  constructor(parts: ControlParts) {
    this.#parts = parts;
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }

  get name(): string {
    return this.#parts.name;
  }

  setPolicy(name: string, policy: Policy | undefined): void {
    if (policy === undefined) this.#policies.delete(name);
    else this.#policies.set(name, policy);
    this.#life?.core?.policiesChanged();
  }

  start(): void {
    const { time, chance, store, wallAtStartMs, note } = this.#parts;
    const clock = new NodeClock(time, { wallAtStartMs, originMs: chance.between(0, 1e9) });
    const life: Life = { clock, alive: true, core: undefined, stop: () => undefined };
    const core = createControlCore({
      name: this.#parts.name,
      clock,
      chance,
      backend: store.connect(() => life.alive),
      policies: this.#policies,
      shared: this.#parts.shared,
      onFault: (text) => this.#fault(text),
    });
    life.core = core;
    life.stop = core.onRecall((recall) => {
      if (!life.alive) return;
      note(`${this.#parts.name} recalls ${recall.buckets.join(",")} except ${recall.except}`);
      for (const connection of this.#connections) {
        if (connection.proxyId === recall.except) continue;
        connection.recall({
          $typeName: "weir.link.v1.QuotaRecall",
          buckets: [...recall.buckets],
        });
      }
    });
    this.#life = life;
  }

  /** Ends the process; its connections are the caller's to end. */
  kill(): void {
    const life = this.#life;
    if (life === undefined) return;
    life.alive = false;
    life.clock.stop();
    life.stop();
    life.core?.close();
    this.#life = undefined;
  }

  jumpClock(byMs: number): void {
    this.#life?.clock.jump(byMs);
  }

  /** The end of a connection to the process that runs now. */
  accept(): ControlEnd {
    const life = this.#life;
    return {
      report: (from, report, answer) => {
        if (life?.core === undefined || !life.alive) return;
        life.core.reportQuota(from, report).then(
          (reply: QuotaReply) => {
            if (life.alive) answer(reply);
          },
          (error: unknown) => this.#parts.onViolation(`reportQuota rejected: ${String(error)}`),
        );
      },
    };
  }

  #fault(text: string): void {
    this.#parts.note(`${this.#parts.name} fault ${text}`);
    if (/contradicts itself|suspended/.test(text)) this.#parts.onViolation(text);
  }

  attach(connection: Connection): void {
    this.#connections.add(connection);
  }

  detach(connection: Connection): void {
    this.#connections.delete(connection);
  }
}

interface Life {
  readonly clock: NodeClock;
  alive: boolean;
  core: ControlCore | undefined;
  stop: () => void;
}
