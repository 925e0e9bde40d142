import type { QuotaReport } from "../../gen/weir/link/v1/link_service_pb.ts";
import type { AskBounds, ChatAsk } from "../../src/mesh/ask.ts";
import type { Call } from "../../src/mesh/call.ts";
import type { Leg } from "../../src/mesh/grant.ts";
import { type BoundLimit, bindLimit, type Limit } from "../../src/mesh/limit.ts";
import type { LeftEpoch, Reservation, Watermark, Watermarks } from "../../src/mesh/quota.ts";
import type { Target } from "../../src/mesh/target.ts";
import { VirtualClock } from "../../src/mesh/virtual-clock.ts";
import { createQuota, type QuotaRoomProxy, type QuotaTools } from "../../src/quota/quota.ts";
import { createTestAsk, createTestCall } from "./calls.ts";
import { LedgerFixture } from "./quota-ledger.ts";
import { createTestLeg, createTestTarget } from "./targets.ts";

/** A limit for tests: $1 for ever, for all together. */
export function createTestLimit(fields: Partial<Limit> = {}): Limit {
  const unit = fields.unit ?? "nano_usd";
  const kind = fields.kind ?? "budget";
  const forms = { budget: `${unit}:lifetime`, rate: `${unit}:rate`, concurrency: "slots" };
  return {
    policy: "policies/p",
    kind,
    unit,
    form: forms[kind],
    amount: 1_000_000_000,
    window: kind === "budget" ? { kind: "lifetime" } : undefined,
    periodMs: kind === "rate" ? 60_000 : 0,
    burst: kind === "rate" ? (fields.amount ?? 60) : 0,
    per: { kind: "shared" },
    audit: false,
    clamp: false,
    downgradeTo: "",
    allowUnproven: false,
    surviveMs: 60_000,
    defaultPrice: undefined,
    concernsProvider: () => true,
    ...fields,
  };
}

/** Watermarks in memory, which outlive a proxy. */
export class WatermarksFixture implements Watermarks {
  readonly marks = new Map<string, Watermark>();
  left: readonly LeftEpoch[] = [];
  previousEpoch = 0;
  replied = 0;
  finished = false;
  fault: Error | undefined;

  raise(marks: readonly Watermark[]): void {
    if (this.fault !== undefined) throw this.fault;
    for (const mark of marks) {
      this.marks.set(`${mark.bucket}@${mark.windowStartMs}`, mark);
    }
  }

  forget(epochs: readonly number[], proxyId?: string): void {
    this.left = this.left.filter(
      (each) => each.proxyId !== proxyId || !epochs.includes(each.epoch),
    );
  }

  /** What a killed start has left, to be confessed. */
  inherit(before: WatermarksFixture, epoch: number): void {
    const marks = [...before.marks.values()];
    this.left = [...before.left, { epoch, trusted: true, marks }];
    this.previousEpoch = before.replied > 0 ? epoch : before.previousEpoch;
  }

  noteReplied(): void {
    this.replied += 1;
  }

  done(): void {
    this.finished = true;
  }
}

/** One proxy, joined to a ledger by a link of one millisecond that a test may cut. */
export class ProxyFixture {
  readonly quota: QuotaRoomProxy;
  readonly watermarks = new WatermarksFixture();
  readonly id: string;
  readonly epoch: number;
  readonly reports: QuotaReport[] = [];
  /** Decides the fate of each message: how often it arrives. */
  copies: () => number = () => 1;
  unavailable = "";
  /** What a test knows to have been used through it. */
  spent = 0;
  killed = false;
  readonly #house: HouseFixture;
  #up = false;

  constructor(house: HouseFixture, id: string, epoch: number, more: Partial<QuotaTools> = {}) {
    this.#house = house;
    this.id = id;
    this.epoch = epoch;
    this.quota = createQuota({ clock: house.clock, watermarks: this.watermarks, ...more });
  }

  /** Nothing of it is heard any more. */
  kill(): void {
    this.killed = true;
    this.#up = false;
    this.quota.disconnected();
  }

  connect(): void {
    if (this.killed) return;
    this.#up = true;
    this.quota.connected((report) => {
      this.reports.push(structuredClone(report));
      this.#carry(() => this.#arrive(report));
    });
  }

  disconnect(): void {
    this.#up = false;
    this.quota.disconnected();
  }

  recall(bucket: string): void {
    this.#carry(() => {
      this.quota.recall({ $typeName: "weir.link.v1.QuotaRecall", buckets: [bucket] });
    });
  }

  #arrive(report: QuotaReport): void {
    const { ledger } = this.#house;
    const reply = ledger.answer(this.id, this.epoch, report);
    if (this.unavailable !== "") {
      reply.unavailable = this.unavailable;
      reply.leases = [];
    }
    this.#carry(() => this.quota.reply(reply));
  }

  #carry(deliver: () => void): void {
    const copies = this.copies();
    for (let i = 0; i < copies; i++) {
      this.#house.clock.after(1 + i * 3, () => {
        if (this.#up && !this.killed) deliver();
      });
    }
  }
}

/** Proxies and a ledger, on one clock that stands still. */
export class HouseFixture {
  readonly clock = new VirtualClock();
  readonly ledger = new LedgerFixture(this.clock);
  readonly proxies: ProxyFixture[] = [];

  constructor() {
    this.ledger.onRecall = (bucket, except) => {
      for (const proxy of this.proxies) if (proxy.id !== except) proxy.recall(bucket);
    };
  }

  start(id: string, epoch = 1, more: Partial<QuotaTools> = {}): ProxyFixture {
    const proxy = new ProxyFixture(this, id, epoch, more);
    this.proxies.push(proxy);
    proxy.connect();
    return proxy;
  }

  /** A limit that the ledger knows, bound. */
  bind(fields: Partial<Limit> = {}, subject = "", windowMs = 0): BoundLimit {
    const bound = bindLimit(createTestLimit(fields), subject);
    this.ledger.open(bound.bucket, bound.limit, windowMs);
    return bound;
  }

  call(): Call {
    return createTestCall(this.clock);
  }
}

/** A chat of so many bytes. */
export function createBoundedAsk(bytes: number, bounds: Partial<AskBounds> = {}): ChatAsk {
  const all: AskBounds = {
    outputTokensMax: 100,
    choices: 1,
    images: 0,
    audioBytes: 0,
    files: 0,
    fileBytes: 0,
    encodedBytes: 0,
    ...bounds,
  };
  return { ...createTestAsk(), bytes, bounds: () => all };
}

/** A leg with these limits. */
export function createLimitedLeg(limits: readonly BoundLimit[], target?: Target): Leg {
  return createTestLeg([target ?? createTestTarget()], { limits });
}

/** What one attempt of a new call takes. */
export function reserveOnce(
  proxy: ProxyFixture,
  call: Call,
  limits: readonly BoundLimit[],
  ask: ChatAsk = createBoundedAsk(36),
): Reservation | Promise<Reservation> {
  const leg = createLimitedLeg(limits);
  const target = leg.targets[0] ?? createTestTarget();
  return proxy.quota.begin(call, ask).reserve(leg, target);
}
