import type { QuotaReply, QuotaReport } from "../../gen/weir/link/v1/link_service_pb.ts";
import type { QuotaLink } from "../../src/mesh/quota.ts";
import type { Chance } from "./chance.ts";
import { createProxyCore, type ProxyCore } from "./cores.ts";
import { VirtualDisk } from "./virtual-disk.ts";
import { NodeClock, type VirtualTime } from "./virtual-time.ts";

export interface ProxyParts {
  readonly name: string;
  readonly time: VirtualTime;
  readonly chance: Chance;
  readonly wallAtStartMs: () => number;
  readonly note: (line: string) => void;
  /** Called when it is killed from within, so that the world may take note. */
  readonly onDeath: (node: ProxyNode) => void;
}

/** Where, within its own doings, a proxy is to die next. */
export type Doom = "before write" | "after write" | "after send" | "after reply";

/** A proxy's process and its restarts on one disk. */
export class ProxyNode {
  readonly disk = new VirtualDisk();
  readonly #parts: ProxyParts;
  #life: ProxyLife | undefined;
  #doom: Doom | undefined;

  constructor(parts: ProxyParts) {
    this.#parts = parts;
  }

  get name(): string {
    return this.#parts.name;
  }

  /** The process that runs now. */
  get life(): ProxyLife | undefined {
    return this.#life;
  }

  start(): ProxyLife {
    const { time, chance, note } = this.#parts;
    const clock = new NodeClock(time, {
      wallAtStartMs: this.#parts.wallAtStartMs(),
      originMs: chance.between(0, 1e9),
    });
    const die = (where: Doom) => {
      if (this.#doom !== where || this.#life !== life) return;
      this.#doom = undefined;
      note(`${this.name} dies ${where}`);
      this.#end();
      throw new Killed();
    };
    const { epoch, watermarks } = this.disk.begin({
      beforeWrite: () => die("before write"),
      afterWrite: () => die("after write"),
      isDead: () => !life.alive,
    });
    const life = new ProxyLife(this.name, epoch, clock);
    const core = createProxyCore({ clock, chance, watermarks, epoch, name: this.name });
    life.begin(core, {
      sent: (report) => {
        note(`${this.name}/${epoch} report ${describeReport(report)}`);
        die("after send");
      },
      replied: (reply) => {
        note(`${this.name}/${epoch} reply ${describeReply(reply)}`);
        if (this.#doom === "after reply") this.#dieSoon(life);
      },
    });
    this.#life = life;
    this.#doom = undefined;
    note(`${this.name}/${epoch} starts, ${watermarks.left.length} epochs to confess`);
    return life;
  }

  /** kill -9, now. */
  kill(): void {
    if (this.#life === undefined) return;
    this.#parts.note(`${this.name}/${this.#life.epoch} killed`);
    this.#end();
  }

  /** kill -9 when it next does this. */
  doom(where: Doom): void {
    this.#doom = where;
  }

  get isDoomed(): boolean {
    return this.#doom !== undefined;
  }

  undoom(): void {
    this.#doom = undefined;
  }

  /** Some microtasks from now: between two awaits. */
  #dieSoon(life: ProxyLife): void {
    this.#doom = undefined;
    let hops = this.#parts.chance.integer(0, 6);
    const hop = () => {
      if (this.#life !== life) return;
      hops -= 1;
      if (hops > 0) queueMicrotask(hop);
      else this.kill();
    };
    queueMicrotask(hop);
  }

  #end(): void {
    const life = this.#life;
    if (life === undefined) return;
    life.kill();
    this.#life = undefined;
    this.#parts.onDeath(this);
  }
}

/** Thrown through the code of a process that is dead, so that none of it goes on. */
export class Killed extends Error {}

interface LifeHooks {
  sent(report: QuotaReport): void;
  replied(reply: QuotaReply): void;
}

/** One start of a proxy. */
export class ProxyLife {
  readonly name: string;
  readonly epoch: number;
  readonly clock: NodeClock;
  /** The newest window of each bucket of which the ledger has told it. */
  readonly windows = new Map<string, number>();
  /** Called when it is killed. */
  readonly onDeath = new Set<() => void>();
  alive = true;
  #core: ProxyCore | undefined;
  #hooks: LifeHooks | undefined;

  constructor(name: string, epoch: number, clock: NodeClock) {
    this.name = name;
    this.epoch = epoch;
    this.clock = clock;
  }

  begin(core: ProxyCore, hooks: LifeHooks): void {
    this.#core = core;
    this.#hooks = hooks;
  }

  get core(): ProxyCore {
    if (this.#core === undefined) throw new Error("the proxy has not begun");
    return this.#core;
  }

  /** Its end of the link: what it says and hears while it lives. */
  get link(): QuotaLink {
    const { link } = this.core;
    const whileAlive = (run: () => void) => {
      if (!this.alive) return;
      try {
        run();
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
      }
    };
    return {
      connected: (send) =>
        whileAlive(() =>
          link.connected((report) => {
            if (!this.alive) return;
            send(report);
            this.#hooks?.sent(report);
          }),
        ),
      disconnected: () => whileAlive(() => link.disconnected()),
      reply: (reply) =>
        whileAlive(() => {
          for (const lease of reply.leases) this.#noteWindow(lease.bucket, lease.windowStartMs);
          this.#hooks?.replied(reply);
          link.reply(reply);
        }),
      recall: (recall) => whileAlive(() => link.recall(recall)),
    };
  }

  kill(): void {
    this.alive = false;
    this.clock.stop();
    for (const run of this.onDeath) run();
    this.onDeath.clear();
  }

  #noteWindow(bucket: string, windowStartMs: bigint): void {
    const known = this.windows.get(bucket) ?? -1;
    this.windows.set(bucket, Math.max(known, Number(windowStartMs)));
  }
}

function describeReport(report: QuotaReport): string {
  const leases = report.leases.map(
    (each) =>
      `${each.bucket}@${each.windowStartMs} g${each.granted} c${each.confirmed} r${each.returned}` +
      ` o${each.outstanding} want${each.want} need${each.need} lr${each.levelReturned}`,
  );
  const confessions = report.confessions.map(
    ({ epoch, trusted, leases: each }) =>
      `confess ${epoch} ${trusted} ${each.map((one) => `${one.bucket}@${one.windowStartMs}:${one.usedMax}`)}`,
  );
  return `#${report.sequence} prev${report.previousEpoch} ${[...leases, ...confessions].join("; ")}`;
}

function describeReply(reply: QuotaReply): string {
  const leases = reply.leases.map(
    (each) =>
      `${each.bucket}@${each.windowStartMs} ends${each.windowEndsInMs} g${each.granted}` +
      ` lvl${each.levelGranted} ceil${each.ceiling} left${each.remaining} no${each.refusal}` +
      `${each.recalled ? " RECALLED" : ""} retry${each.retryAfterMs}`,
  );
  return `#${reply.sequence} ${reply.unavailable} ${leases.join("; ")}`;
}
