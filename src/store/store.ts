import type { Resource } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import type {
  QueryUsageRequest,
  RequestFilter,
  UsageRow,
} from "../../gen/weir/admin/v1/usage_service_pb.ts";

import type {
  Alert,
  AlertPage,
  AlertState,
  ClaimInput,
  Delivery,
  FinishInput,
  RaiseInput,
} from "./alert-operations.ts";
import type { QuotaStore } from "./quota-store.ts";

/**
 * What the control plane keeps, in domain words. One contract suite
 * (`test/contract/store-contract.ts`) runs on every engine. Every promise rejects with StoreError
 * when the engine fails; what a resolved write has written survives a crash.
 */
export interface Store extends PolicyStore, LedgerStore, QuotaStore, AlertStore {
  /**
   * Brings the schema up to date; safe when several instances do so at once. Resolves with the
   * versions it applied.
   */
  migrate(): Promise<readonly number[]>;
  /** The random identity of this installation, made once. */
  installationId(): Promise<string>;
  /**
   * Calls `listener` soon after commits, whoever has made them, and when some may have been missed;
   * what is new is in the store. Returns how to stop. Absent where an engine cannot tell: then its
   * revision must be asked for.
   */
  onCommit?(listener: () => void): () => void;
  /** Finishes what was begun and lets go of the engine. */
  close(): Promise<void>;
}

/** The kinds of resources. */
export type ResourceKind = "team" | "user" | "key" | "provider" | "model" | "policy";

/** A resource as it is kept; `meta` in the body is filled in from the row. */
export interface StoredResource {
  readonly name: string;
  readonly kind: ResourceKind;
  readonly body: Resource;
  readonly revision: number;
  readonly etag: string;
}

/** The resources and the history of their changes. */
export interface PolicyStore {
  /** The newest revision; 0 in an empty store. */
  revision(): Promise<number>;
  /** Everything, as of one revision. */
  readAll(): Promise<{ readonly revision: number; readonly resources: readonly StoredResource[] }>;
  get(name: string): Promise<StoredResource | undefined>;
  /** By name, rising. */
  list(page: ResourcePage): Promise<readonly StoredResource[]>;
  /** The key that has this secret, by SHA-256 in hexadecimal. */
  findKeyBySecret(sha256Hex: string): Promise<StoredResource | undefined>;
  /**
   * Writes all or nothing, as one new revision, history included. A write with a `requestId` that
   * was committed before writes nothing and returns that first commit with `repeated: true`.
   */
  commit(write: PolicyWrite): Promise<CommitResult>;
  /**
   * Changes after a revision, oldest first: what a publisher sends. Whole revisions; the last one
   * is completed even beyond `limit`.
   */
  changesSince(revision: number, limit: number): Promise<readonly StoredChange[]>;
  /** The history, newest first; `beforeSequence` 0 means from the newest. */
  listChanges(page: ChangePage): Promise<readonly StoredChange[]>;
  /** A resource as it was at a revision; undefined when it was not there. */
  getAt(name: string, revision: number): Promise<StoredResource | undefined>;
}

export interface ResourcePage {
  readonly kind: ResourceKind;
  /** Only names that begin so; empty means all. */
  readonly namePrefix: string;
  /** Only names behind this one; empty means from the beginning. */
  readonly afterName: string;
  readonly limit: number;
}

/** One transaction on resources. */
export interface PolicyWrite {
  readonly writes: readonly ResourceWrite[];
  readonly actor: string;
  readonly reason: string;
  /** Empty means none. */
  readonly requestId: string;
  readonly atMs: number;
}

/** One resource in a transaction. */
export interface ResourceWrite {
  readonly name: string;
  readonly kind: ResourceKind;
  /** Undefined deletes. */
  readonly body: Resource | undefined;
  /** What must be there now: its etag, or "absent". A conflict fails the whole transaction. */
  readonly expected: string;
}

export type CommitResult =
  | {
      readonly outcome: "committed";
      readonly revision: number;
      readonly repeated: boolean;
      readonly resources: readonly StoredResource[];
    }
  | {
      readonly outcome: "conflict";
      readonly name: string;
      readonly current: StoredResource | undefined;
    };

/** One line of the history. */
export interface StoredChange {
  /** Rising without gaps within one store. */
  readonly sequence: number;
  readonly revision: number;
  readonly name: string;
  readonly kind: ResourceKind;
  readonly before: Resource | undefined;
  readonly after: Resource | undefined;
  readonly actor: string;
  readonly reason: string;
  readonly requestId: string;
  readonly atMs: number;
}

export interface ChangePage {
  readonly beforeSequence: number;
  /** Only this resource; empty means all. */
  readonly name: string;
  readonly limit: number;
}

/** What requests have cost. */
export interface LedgerStore {
  /**
   * Appends records; one with a `requestId` that is there already is left out. Resolves once all
   * are durable.
   */
  appendRecords(records: readonly RequestRecord[]): Promise<void>;
  /**
   * The same for records as they came: each batch is an encoded weir.link.v1.RecordBatch. All are
   * appended, or none.
   */
  appendBatches(batches: readonly Uint8Array[]): Promise<void>;
  getRecord(requestId: string): Promise<RequestRecord | undefined>;
  /** The newest first. */
  recentRecords(filter: LedgerFilter, limit: number): Promise<readonly RequestRecord[]>;
  /** Sums by group; reads beside writes and never holds them up. */
  queryUsage(query: UsageQuery): Promise<readonly UsageRow[]>;
  /**
   * Deletes the records of requests that began before a time; how many it deleted one by one. The
   * sums of their hours and days stay.
   */
  expireRecords(beforeMs: number): Promise<number>;
  /** When each of these keys was last accounted, in milliseconds since 1970. */
  lastUsed(keys: readonly string[]): Promise<ReadonlyMap<string, number>>;
}

/** What budgets have told, and to whom it is on its way. */
export interface AlertStore {
  /** Writes the alerts that are new, each bucket, window and percentage once; returns these. */
  raiseAlerts(input: RaiseInput): Promise<readonly Alert[]>;
  /** Takes deliveries that are due, for `holdMs`; two who claim at once never get the same. */
  claimDeliveries(input: ClaimInput): Promise<readonly Delivery[]>;
  finishDelivery(input: FinishInput): Promise<void>;
  listAlerts(page: AlertPage): Promise<readonly AlertState[]>;
}

/** The caller's filter, with `teams` spelled out to the whole subtree. */
export interface LedgerFilter extends Omit<RequestFilter, "$typeName" | "$unknown"> {}

export interface UsageQuery {
  readonly filter: LedgerFilter;
  readonly groupBy: QueryUsageRequest["groupBy"];
  readonly label: string;
  readonly timeBucket: QueryUsageRequest["timeBucket"];
  readonly offset: number;
  readonly limit: number;
}

/** The engine failed: a full disk, a lost connection, a damaged file. */
export class StoreError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "StoreError";
  }
}
