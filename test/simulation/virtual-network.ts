import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type QuotaRecall,
  QuotaRecallSchema,
  type QuotaReply,
  QuotaReplySchema,
  type QuotaReport,
  QuotaReportSchema,
} from "../../gen/weir/link/v1/link_service_pb.ts";
import type { ProxyStart } from "../../src/mesh/hub.ts";
import type { QuotaLink } from "../../src/mesh/quota.ts";
import type { Chance } from "./chance.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** What the network does to messages. */
export interface NetworkFaults {
  /** How long a message is under way on average. */
  readonly delayMs: number;
  /** How often a report comes twice. */
  readonly twice: number;
  /** How often a message takes very much longer, and with it all that follow on its connection. */
  readonly stall: number;
}

/** The end of a control. */
export interface ControlEnd {
  /** Called once for each report that arrives, even when its connection is gone by then. */
  report(from: ProxyStart, report: QuotaReport, answer: (reply: QuotaReply) => void): void;
}

export interface ConnectionParts {
  readonly time: VirtualTime;
  readonly chance: Chance;
  readonly faults: () => NetworkFaults;
  readonly from: ProxyStart;
  readonly proxy: QuotaLink;
  readonly control: ControlEnd;
  /** Called before the proxy is told, which may send at once. */
  readonly onOpen: (connection: Connection) => void;
}

/**
 * One connection of a proxy to a control. Messages of one direction keep their order; what is under
 * way when the connection ends is lost, or, of reports, comes later than the next connection.
 */
export class Connection {
  readonly #parts: ConnectionParts;
  #open = true;
  #upMs = 0;
  #downMs = 0;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    parts.onOpen(this);
    parts.proxy.connected((report) => this.#up(report));
  }

  get proxyId(): string {
    return this.#parts.from.proxyId;
  }

  /** Ends it; the proxy is told unless it is dead. */
  end(tellProxy: boolean): void {
    if (!this.#open) return;
    this.#open = false;
    if (tellProxy) this.#parts.proxy.disconnected();
  }

  recall(recall: QuotaRecall): void {
    const bytes = toBinary(QuotaRecallSchema, recall);
    this.#down(() => this.#parts.proxy.recall(fromBinary(QuotaRecallSchema, bytes)));
  }

  #up(report: QuotaReport): void {
    const { time, chance, faults, from, control } = this.#parts;
    if (!this.#open) throw new Error("a report was sent on a connection that is closed");
    const bytes = toBinary(QuotaReportSchema, report);
    const arrive = () => {
      if (!this.#open && chance.happens(0.5)) return;
      const late = this.#open ? 0 : chance.wait(500);
      time.schedule(late, () => {
        control.report(from, fromBinary(QuotaReportSchema, bytes), (reply) => this.#answer(reply));
      });
    };
    this.#upMs = Math.max(this.#upMs, time.nowMs + this.#delay());
    time.schedule(this.#upMs - time.nowMs, arrive);
    if (chance.happens(faults().twice))
      time.schedule(this.#upMs - time.nowMs + chance.wait(300), arrive);
  }

  #answer(reply: QuotaReply): void {
    const bytes = toBinary(QuotaReplySchema, reply);
    this.#down(() => this.#parts.proxy.reply(fromBinary(QuotaReplySchema, bytes)));
  }

  #down(deliver: () => void): void {
    const { time } = this.#parts;
    if (!this.#open) return;
    this.#downMs = Math.max(this.#downMs, time.nowMs + this.#delay());
    time.schedule(this.#downMs - time.nowMs, () => {
      if (this.#open) deliver();
    });
  }

  #delay(): number {
    const { chance, faults } = this.#parts;
    const { delayMs, stall } = faults();
    return chance.wait(delayMs) + (chance.happens(stall) ? chance.between(100, 5_000) : 0);
  }
}
