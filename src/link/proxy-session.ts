import { Code, ConnectError } from "@connectrpc/connect";
import type {
  ConnectResponse,
  Hello,
  QuotaReply,
  QuotaReport,
  SnapshotRefused,
} from "../../gen/weir/link/v1/link_service_pb.ts";
import { type Clock, pause } from "../mesh/clock.ts";
import { EncodedBatch } from "../mesh/encoded-batch.ts";
import type { Hub, ProxyState } from "../mesh/hub.ts";
import type { SnapshotChange } from "../mesh/snapshot.ts";
import type { BatchRequest } from "./batch-request.ts";
import type { LinkLog } from "./log.ts";
import { splitChange } from "./snapshot-parts.ts";
import { createWake } from "./wake.ts";

/** What a session needs of its surroundings. */
export interface ProxySessionOptions {
  readonly hub: Hub;
  readonly clock: Clock;
  readonly log: LinkLog;
  /** Told when the proxy has confirmed or refused a revision. */
  readonly settled: () => void;
}

/**
 * One connected proxy, as the control plane sees it. It queues nothing: what is to be sent is
 * worked out when there is room to send it. At most one snapshot is on its way; commits that come
 * meanwhile are sent together once it is answered.
 */
export class ProxySession {
  readonly hello: Hello;
  readonly #options: ProxySessionOptions;
  readonly #connectedWallMs: number;
  readonly #wake = createWake();
  /** What the proxy serves. */
  #revision: number;
  /** What it was sent and has not answered; undefined when nothing is on its way. */
  #sentRevision: number | undefined;
  #refusedRevision = 0;
  #refusal = "";
  #faults: readonly string[] = [];
  #committedRevision = 0;
  #greeted = false;
  #appendedSequence = 0n;
  #confirmedSequence = 0n;
  #appending: Promise<void> = Promise.resolve();
  #appendingCount = 0;
  #quotaReply: QuotaReply | undefined;
  readonly #recalled = new Set<string>();
  #goodbye: string | undefined;
  #failure: ConnectError | undefined;
  #ended = false;

  constructor(hello: Hello, options: ProxySessionOptions) {
    this.hello = hello;
    this.#options = options;
    this.#connectedWallMs = options.clock.wallMs();
    const known = hello.installationId === options.hub.installationId;
    this.#revision = known ? Number(hello.revision) : 0;
  }

  get ended(): boolean {
    return this.#ended;
  }

  state(): ProxyState {
    return {
      proxyId: this.hello.proxyId,
      version: this.hello.version,
      listen: this.hello.listen,
      revision: this.#revision,
      connectedWallMs: this.#connectedWallMs,
      refusedRevision: this.#refusedRevision,
      refusal: this.#refusal,
      faults: this.#faults,
    };
  }

  /** A revision was committed. */
  committed(revision: number): void {
    this.#committedRevision = Math.max(this.#committedRevision, revision);
    this.#wake.tell();
  }

  /** Sends a goodbye and ends. */
  dismiss(reason: string): void {
    this.#goodbye ??= reason;
    this.#wake.tell();
  }

  /** The connection is gone. */
  end(): void {
    this.#ended = true;
    this.#wake.tell();
    this.#options.settled();
  }

  /**
   * Everything that is to be sent, one message at a time, until the end. Throws when records could
   * not be kept.
   */
  async *send(): AsyncGenerator<ConnectResponse> {
    while (!this.#ended) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#goodbye !== undefined) {
        yield respond({
          case: "goodbye",
          value: { $typeName: "weir.link.v1.Goodbye", reason: this.#goodbye },
        });
        return;
      }
      if (this.#appendedSequence > this.#confirmedSequence) {
        this.#confirmedSequence = this.#appendedSequence;
        yield respond({
          case: "recordsCommitted",
          value: {
            $typeName: "weir.link.v1.RecordsCommitted",
            sequence: this.#confirmedSequence,
          },
        });
        continue;
      }
      const quota = this.#nextQuotaMessage();
      if (quota !== undefined) {
        yield respond(quota);
        continue;
      }
      const change = await this.#nextChange();
      if (change === undefined) {
        await this.#wake.told();
        continue;
      }
      for (const part of splitChange(change)) {
        if (this.#ended) return;
        yield respond({ case: "snapshotPart", value: part });
      }
    }
  }

  #nextQuotaMessage(): ConnectResponse["message"] | undefined {
    if (this.#quotaReply !== undefined) {
      const value = this.#quotaReply;
      this.#quotaReply = undefined;
      return { case: "quotaReply", value };
    }
    if (this.#recalled.size === 0) return undefined;
    const buckets = [...this.#recalled];
    this.#recalled.clear();
    return { case: "quotaRecall", value: { $typeName: "weir.link.v1.QuotaRecall", buckets } };
  }

  /** Takes a message from the proxy. Resolves when the next one may be read. */
  async receive({ message }: BatchRequest): Promise<void> {
    switch (message.case) {
      case "snapshotAccepted":
        this.#revision = Number(message.value.revision);
        this.#answered();
        return;
      case "snapshotRefused":
        this.#refused(message.value);
        this.#answered();
        return;
      case "recordBatch":
        this.#append(new EncodedBatch(message.value));
        // A proxy that sends more than the store takes is read no further.
        if (this.#appendingCount > APPENDING_MAX) await this.#appending;
        return;
      case "faults":
        this.#faults = message.value.faults.slice(0, FAULTS_MAX);
        return;
      case "quotaReport":
        this.#report(message.value);
        return;
      case "hello":
        throw new ConnectError("hello was said before", Code.InvalidArgument);
      case undefined:
        return;
      default:
        message satisfies never;
    }
  }

  /** Reports of one proxy go one after the other: each is answered before the next is sent. */
  #report(report: QuotaReport): void {
    const { proxyId, epoch } = this.hello;
    const from = { proxyId, epoch: Number(epoch) };
    void this.#options.hub.reportQuota?.(from, report).then((reply) => {
      this.#quotaReply = reply;
      this.#wake.tell();
    });
  }

  /** Others need what the proxy has leased from these buckets. */
  recall(buckets: readonly string[]): void {
    for (const bucket of buckets) this.#recalled.add(bucket);
    this.#wake.tell();
  }

  #answered(): void {
    this.#sentRevision = undefined;
    this.#wake.tell();
    this.#options.settled();
  }

  #refused(refused: SnapshotRefused): void {
    this.#refusedRevision = Number(refused.revision);
    const named = refused.name === "" ? "" : `${refused.name}: `;
    this.#refusal = `${this.hello.proxyId} refuses revision ${refused.revision}: ${named}${refused.reason}`;
    this.#options.log.warn({ proxy: this.hello.proxyId, refusal: this.#refusal }, "refused");
  }

  /** What to send now; undefined when the proxy is up to date or has not answered yet. */
  async #nextChange(): Promise<SnapshotChange | undefined> {
    if (this.#sentRevision !== undefined) return undefined;
    const newest = this.#committedRevision;
    if (this.#greeted && newest <= Math.max(this.#revision, this.#refusedRevision))
      return undefined;
    const change = await this.#readChange();
    if (change === undefined && this.#greeted) {
      // The hub knows best: what was committed is there already.
      this.#committedRevision = this.#revision;
      return undefined;
    }
    this.#greeted = true;
    this.#sentRevision = change?.revision ?? this.#revision;
    return change ?? this.#sayUpToDate();
  }

  /** A store that fails for a moment is no reason to send the proxy away. */
  async #readChange(): Promise<SnapshotChange | undefined> {
    for (;;) {
      try {
        return await this.#options.hub.changeSince(this.#revision);
      } catch (error) {
        if (this.#ended || this.#goodbye !== undefined) return undefined;
        this.#options.log.warn({ error }, "policy cannot be read for a proxy");
        await pause(this.#options.clock, READ_AGAIN_MS);
      }
    }
  }

  /** An empty difference: it tells the proxy that it is connected, and to whom. */
  #sayUpToDate(): SnapshotChange {
    return {
      revision: this.#revision,
      baseRevision: this.#revision,
      installationId: this.#options.hub.installationId,
      upserts: [],
      deletions: [],
    };
  }

  /** One batch after the other, so that a confirmed number vouches for all below it. */
  #append(batch: EncodedBatch): void {
    this.#appendingCount += 1;
    this.#appending = this.#appending.then(async () => {
      try {
        if (this.#failure !== undefined || this.#ended) return;
        await this.#options.hub.appendRecords(batch);
        this.#appendedSequence = batch.sequence;
      } catch (error) {
        this.#options.log.warn({ error, proxy: this.hello.proxyId }, "records cannot be kept");
        this.#failure = new ConnectError("the ledger cannot be written", Code.Unavailable);
      } finally {
        this.#appendingCount -= 1;
        this.#wake.tell();
      }
    });
  }
}

const APPENDING_MAX = 8;
const FAULTS_MAX = 100;
const READ_AGAIN_MS = 1000;

function respond(message: ConnectResponse["message"]): ConnectResponse {
  return { $typeName: "weir.link.v1.ConnectResponse", message };
}
