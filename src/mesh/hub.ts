import type { QuotaReply, QuotaReport } from "../../gen/weir/link/v1/link_service_pb.ts";
import type { EncodedBatch } from "./encoded-batch.ts";
import type { SnapshotChange } from "./snapshot.ts";

/**
 * What the control's end of the link needs of the control plane; handed to it by the composition
 * root.
 */
export interface Hub {
  readonly installationId: string;
  /**
   * What leads a proxy from the revision that it holds to the newest: the difference when the
   * history reaches back so far, else everything. Undefined when it is up to date.
   */
  changeSince(revision: number): Promise<SnapshotChange | undefined>;
  /** Calls `listener` after each commit, with its revision. Returns how to stop. */
  onCommit(listener: (revision: number) => void): () => void;
  /** Writes records into the ledger; resolves once they are durable. */
  appendRecords(batch: EncodedBatch): Promise<void>;
  /**
   * Brings a proxy's quota report to the ledger and answers it; never rejects: where the ledger
   * cannot answer, the reply says so.
   */
  reportQuota?(from: ProxyStart, report: QuotaReport): Promise<QuotaReply>;
  /** Calls `listener` when proxies shall give leases back. Returns how to stop. */
  onRecall?(listener: (recall: Recall) => void): () => void;
}

/** One start of a proxy. */
export interface ProxyStart {
  readonly proxyId: string;
  readonly epoch: number;
}

/** Leases that others need. */
export interface Recall {
  readonly buckets: readonly string[];
  /** The proxy that needs them, and is not asked; empty asks all. */
  readonly except: string;
}

/** What the control's end knows of the proxies; handed to the control plane. */
export interface ProxyRegistry {
  list(): readonly ProxyState[];
  /**
   * Waits until every proxy that is connected now has confirmed or refused a revision, `waitMs` at
   * most.
   */
  waitForRevision(revision: number, waitMs: number): Promise<Confirmations>;
}

/** How far a revision has come. */
export interface Confirmations {
  readonly confirmed: number;
  readonly connected: number;
  /** Refusals of this revision, in sentences. */
  readonly refusals: readonly string[];
}

/** One connected proxy. */
export interface ProxyState {
  readonly proxyId: string;
  readonly version: string;
  readonly listen: string;
  readonly revision: number;
  readonly connectedWallMs: number;
  readonly refusedRevision: number;
  readonly refusal: string;
  readonly faults: readonly string[];
}
