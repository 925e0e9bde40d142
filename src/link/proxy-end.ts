import { toBinary } from "@bufbuild/protobuf";
import {
  type ConnectRequest,
  ConnectRequestSchema,
  type ConnectResponse,
  type SnapshotPart,
} from "../../gen/weir/link/v1/link_service_pb.ts";
import type { Clock, Timer } from "../mesh/clock.ts";
import { SnapshotRefusal } from "../mesh/compile-refusal.ts";
import type { QuotaLink } from "../mesh/quota.ts";
import { type Random, systemRandom } from "../mesh/random.ts";
import type { SnapshotChange } from "../mesh/snapshot.ts";
import type { SnapshotHolder } from "../mesh/snapshot-holder.ts";
import type { Journal } from "./journal.ts";
import { type LinkChannel, type LinkTls, openChannel } from "./link-channel.ts";
import type { LinkLog } from "./log.ts";
import { type RecordSender, startRecordSender } from "./record-sender.ts";
import { createChangeAssembler } from "./snapshot-parts.ts";

/**
 * The proxy's end of the link: keeps one connection to one of the control planes, for as long as
 * the proxy lives.
 */
export interface ProxyLink {
  state(): "connecting" | "connected";
  /** The control plane that it is connected to, or that it tries to reach: one of its addresses. */
  readonly address: string;
  /** The revision that is served; 0 means none. */
  readonly revision: number;
  /** Why it is not connected and what to do, in a sentence; undefined when it is. */
  fault(): string | undefined;
  /** Ends the connection and makes no other. Records that are not confirmed stay in the journal. */
  close(): void;
}

export interface ProxyLinkOptions {
  /** `HOST:PORT` or `unix:PATH`, at least one; another is tried each time. */
  readonly addresses: readonly string[];
  readonly token: string;
  readonly proxyId: string;
  /** The number of this start. */
  readonly epoch: number;
  readonly version: string;
  /** Where the proxy listens, as it is known when the link connects. */
  readonly listen: () => string;
  readonly holder: SnapshotHolder;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: LinkLog;
  readonly random?: Random;
  readonly tls?: LinkTls;
  /** What speaks for this proxy's quota; absent where nothing is limited. */
  readonly quota?: QuotaLink;
}

/** Begins to connect, and goes on trying. Throws when there is no address. */
export function createProxyLink(options: ProxyLinkOptions): ProxyLink {
  if (options.addresses.length === 0) throw new Error("The link needs the address of a control.");
  const end = new ProxyEnd(options);
  return {
    state: () => (end.connected ? "connected" : "connecting"),
    get address() {
      return end.address;
    },
    get revision() {
      return options.holder.current.revision;
    },
    fault: () => end.fault,
    close: () => end.close(),
  };
}

class ProxyEnd {
  readonly #options: ProxyLinkOptions;
  readonly #faultTimer: Timer;
  #channel: LinkChannel | undefined;
  #sender: RecordSender | undefined;
  #assembler = createChangeAssembler();
  #connectedMs: number | undefined;
  /** Wakes for the next attempt, or gives up the present one. */
  #timer: Timer | undefined;
  #attempts = 0;
  #address: string;
  #nextAddress = 0;
  #reason = "it has not answered yet";
  #sentFaults: string | undefined;
  /** True when the control belongs to another installation than what is held. */
  #startAnew = false;
  #closed = false;

  constructor(options: ProxyLinkOptions) {
    this.#options = options;
    this.#address = options.addresses[0] ?? "";
    this.#faultTimer = options.clock.every(FAULTS_MS, () => this.#sendFaults());
    this.#connect();
  }

  get connected(): boolean {
    return this.#connectedMs !== undefined;
  }

  get address(): string {
    return this.#address;
  }

  get fault(): string | undefined {
    if (this.connected) return undefined;
    return `No connection to the control plane at ${this.#address} (${this.#reason}): see that it runs and that both have the same link token.`;
  }

  close(): void {
    this.#closed = true;
    this.#faultTimer.cancel();
    this.#timer?.cancel();
    this.#channel?.close("this proxy stops");
  }

  #connect(): void {
    const { addresses, token, tls, clock } = this.#options;
    this.#address = addresses[this.#nextAddress++ % addresses.length] ?? "";
    this.#assembler = createChangeAssembler();
    const channel = openChannel({
      address: this.#address,
      token,
      tls,
      message: (response) => this.#receive(response),
      ended: (reason) => this.#ended(reason),
    });
    this.#channel = channel;
    this.#timer = clock.after(ANSWER_MS, () => channel.close("it does not answer"));
    this.#send(this.#createHello());
  }

  #createHello(): ConnectRequest["message"] {
    const { proxyId, epoch, version, listen, holder } = this.#options;
    const held = this.#startAnew ? { revision: 0, installationId: "" } : holder.current;
    return {
      case: "hello",
      value: {
        $typeName: "weir.link.v1.Hello",
        proxyId,
        epoch: BigInt(epoch),
        version,
        revision: BigInt(held.revision),
        listen: listen(),
        installationId: held.installationId,
      },
    };
  }

  #receive({ message }: ConnectResponse): void {
    if (!this.connected) this.#becomeConnected();
    switch (message.case) {
      case "snapshotPart":
        this.#receivePart(message.value);
        return;
      case "recordsCommitted":
        this.#sender?.committed(message.value.sequence);
        return;
      case "goodbye":
        this.#channel?.close(message.value.reason);
        return;
      case "quotaReply":
        this.#options.quota?.reply(message.value);
        return;
      case "quotaRecall":
        this.#options.quota?.recall(message.value);
        return;
      case undefined:
        return;
      default:
        message satisfies never;
    }
  }

  #becomeConnected(): void {
    const { journal, clock, log } = this.#options;
    if (this.#channel === undefined) return;
    this.#timer?.cancel();
    this.#connectedMs = clock.now();
    this.#sentFaults = undefined;
    this.#sender = startRecordSender(journal, this.#channel, clock);
    log.info({ control: this.#address }, "connected to the control plane");
    this.#sendFaults();
    this.#options.quota?.connected((value) => this.#send({ case: "quotaReport", value }));
  }

  #receivePart(part: SnapshotPart): void {
    const change = this.#assembler.add(part);
    if (change === undefined) return;
    const { holder } = this.#options;
    const whole = change.baseRevision === 0;
    if (!whole && change.installationId !== holder.current.installationId) {
      this.#startAnew = true;
      this.#channel?.close("it belongs to another installation: everything is asked for anew");
      return;
    }
    if (!whole && change.baseRevision !== holder.current.revision) {
      this.#channel?.close("it sent a difference from a revision that is not held");
      return;
    }
    if (!isEmpty(change)) this.#apply(change);
    else this.#accept(change.revision);
  }

  #apply(change: SnapshotChange): void {
    const { holder, log } = this.#options;
    try {
      holder.apply(change);
    } catch (thrown) {
      const resource = thrown instanceof SnapshotRefusal ? thrown.resource : "";
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      log.warn({ revision: change.revision, resource, reason }, "a snapshot is refused");
      this.#send({
        case: "snapshotRefused",
        value: {
          $typeName: "weir.link.v1.SnapshotRefused",
          revision: BigInt(change.revision),
          name: resource,
          reason,
        },
      });
      return;
    }
    this.#startAnew = false;
    this.#accept(change.revision);
  }

  #accept(revision: number): void {
    this.#send({
      case: "snapshotAccepted",
      value: { $typeName: "weir.link.v1.SnapshotAccepted", revision: BigInt(revision) },
    });
    this.#sendFaults();
  }

  #sendFaults(): void {
    if (!this.connected) return;
    const { holder, journal, quota } = this.#options;
    const others = [journal.fault(), quota?.fault?.()].filter((fault) => fault !== undefined);
    const faults = [...holder.faults(), ...others];
    const text = faults.join("\n");
    if (text === (this.#sentFaults ?? "")) return;
    this.#sentFaults = text;
    this.#send({ case: "faults", value: { $typeName: "weir.link.v1.Faults", faults } });
  }

  #send(message: ConnectRequest["message"]): void {
    this.#channel?.send(
      toBinary(ConnectRequestSchema, { $typeName: "weir.link.v1.ConnectRequest", message }),
    );
  }

  #ended(reason: string): void {
    const { clock, log, random = systemRandom } = this.#options;
    this.#sender?.stop();
    this.#sender = undefined;
    this.#channel = undefined;
    this.#timer?.cancel();
    const lasted = this.#connectedMs === undefined ? 0 : clock.now() - this.#connectedMs;
    if (this.connected) this.#options.quota?.disconnected();
    this.#connectedMs = undefined;
    if (this.#closed) return;
    // One that breaks soon after each beginning is not asked more often than one that never
    // answers.
    this.#attempts = lasted >= STEADY_MS ? 0 : this.#attempts + 1;
    const delayMs = random.unit() * Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** this.#attempts);
    const changed = this.#reason !== reason;
    this.#reason = reason;
    if (changed || lasted > 0) {
      log.warn({ control: this.#address, reason }, "not connected to the control plane");
    }
    this.#timer = clock.after(delayMs, () => this.#connect());
  }
}

const ANSWER_MS = 10_000;
const FAULTS_MS = 1000;
const STEADY_MS = 10_000;
const BACKOFF_MS = 100;
const BACKOFF_MS_MAX = 10_000;

/** What a control says to a proxy that is up to date. */
function isEmpty(change: SnapshotChange): boolean {
  return (
    change.baseRevision !== 0 &&
    change.baseRevision === change.revision &&
    change.upserts.length === 0 &&
    change.deletions.length === 0
  );
}
