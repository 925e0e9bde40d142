import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import type { UsageRow } from "../../gen/weir/admin/v1/usage_service_pb.ts";
import type { Clock } from "../mesh/clock.ts";
import { EncodedBatch } from "../mesh/encoded-batch.ts";
import { createId } from "../mesh/random.ts";
import type {
  Alert,
  AlertPage,
  AlertState,
  ClaimInput,
  Delivery,
  FinishInput,
  RaiseInput,
} from "./alert-operations.ts";
import type { EncodedWrite } from "./commit-operation.ts";
import { decodeRecord, encodeScope } from "./ledger-codec.ts";
import type { Migration } from "./migrations.ts";
import type { SqlBackend } from "./operations.ts";
import type { QuotaRelease, QuotaReleaseInput } from "./quota-release.ts";
import type { QuotaReportInput, QuotaReportOutcome } from "./quota-report.ts";
import type { QuotaBucketStatus, QuotaStatusQuery, RecalledBucket } from "./quota-status.ts";
import type { QuotaSuspension } from "./quota-suspension.ts";
import { decodeChange, decodeResource, encodeBody, listSecrets } from "./resource-codec.ts";
import type { ResourceRow } from "./resource-rows.ts";
import type { StoreStatus } from "./status-operation.ts";
import type {
  ChangePage,
  CommitResult,
  LedgerFilter,
  PolicyWrite,
  ResourcePage,
  ResourceWrite,
  Store,
  StoredChange,
  StoredResource,
  UsageQuery,
} from "./store.ts";
import { decodeUsageRow, encodeUsageQuery } from "./usage-codec.ts";

/** What a store on SQL is put together from. */
export interface SqlStoreParts {
  readonly backend: SqlBackend;
  readonly migrations: readonly Migration[];
  readonly clock: Clock;
}

/**
 * The store on any SQL engine: turns messages into rows and back; the engine's end runs the
 * operations.
 */
export class SqlStore implements Store {
  readonly #backend: SqlBackend;
  readonly #migrations: readonly Migration[];
  readonly #clock: Clock;

  constructor(parts: SqlStoreParts) {
    this.#backend = parts.backend;
    this.#migrations = parts.migrations;
    this.#clock = parts.clock;
  }

  async migrate(): Promise<readonly number[]> {
    const applied: number[] = [];
    for (;;) {
      const input = { migrations: this.#migrations, atMs: this.#clock.wallMs() };
      const version = await this.#backend.run("migrate", input);
      if (version === undefined) return applied;
      applied.push(version);
    }
  }

  installationId(): Promise<string> {
    return this.#backend.run("install", createId("ins_"));
  }

  close(): Promise<void> {
    return this.#backend.close();
  }

  /** What it holds, migrated or not. */
  status(): Promise<StoreStatus> {
    return this.#backend.run("status", this.#migrations);
  }

  revision(): Promise<number> {
    return this.#backend.run("revision", undefined);
  }

  async readAll(): Promise<{
    readonly revision: number;
    readonly resources: readonly StoredResource[];
  }> {
    const { revision, rows } = await this.#backend.run("readAll", undefined);
    const resources: StoredResource[] = [];
    for (const row of rows) {
      resources.push(decodeResource(row));
      // Tens of thousands take a second; others get their turn meanwhile.
      if (resources.length % DECODES_A_TURN === 0) await nextTurn();
    }
    return { revision, resources };
  }

  async get(name: string): Promise<StoredResource | undefined> {
    return decodeOptional(await this.#backend.run("get", name));
  }

  async list(page: ResourcePage): Promise<readonly StoredResource[]> {
    return (await this.#backend.run("list", page)).map(decodeResource);
  }

  async findKeyBySecret(sha256Hex: string): Promise<StoredResource | undefined> {
    return decodeOptional(await this.#backend.run("findSecret", sha256Hex.toLowerCase()));
  }

  async commit(write: PolicyWrite): Promise<CommitResult> {
    const result = await this.#backend.run("commit", {
      writes: encodeWrites(write.writes),
      actor: write.actor,
      reason: write.reason,
      requestId: write.requestId,
      atMs: write.atMs,
    });
    if (result.outcome === "conflict") {
      return { ...result, current: decodeOptional(result.current) };
    }
    const { revision, repeated } = result;
    const resources = result.rows.map(decodeResource);
    return { outcome: "committed", revision, repeated, resources };
  }

  async changesSince(revision: number, limit: number): Promise<readonly StoredChange[]> {
    return (await this.#backend.run("changesSince", { revision, limit })).map(decodeChange);
  }

  async listChanges(page: ChangePage): Promise<readonly StoredChange[]> {
    return (await this.#backend.run("history", page)).map(decodeChange);
  }

  async getAt(name: string, revision: number): Promise<StoredResource | undefined> {
    return decodeOptional(await this.#backend.run("getAt", { name, revision }));
  }

  async appendRecords(records: readonly RequestRecord[]): Promise<void> {
    if (records.length > 0) await this.appendBatches([EncodedBatch.of(records).bytes]);
  }

  async appendBatches(batches: readonly Uint8Array[]): Promise<void> {
    await this.#backend.run("append", batches);
  }

  async getRecord(requestId: string): Promise<RequestRecord | undefined> {
    const bytes = await this.#backend.run("record", requestId);
    return bytes && decodeRecord(bytes);
  }

  async recentRecords(filter: LedgerFilter, limit: number): Promise<readonly RequestRecord[]> {
    const scope = encodeScope(filter);
    return (await this.#backend.run("recent", { scope, limit })).map(decodeRecord);
  }

  async queryUsage(query: UsageQuery): Promise<readonly UsageRow[]> {
    const input = encodeUsageQuery(query);
    const rows = await this.#backend.run("usage", input);
    return rows.map((row) => decodeUsageRow(row, input.columns));
  }

  async lastUsed(keys: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return new Map(await this.#backend.run("lastUsed", keys));
  }

  reportQuota(report: QuotaReportInput): Promise<QuotaReportOutcome> {
    return this.#backend.run("reportQuota", report);
  }

  quotaStatus(query: QuotaStatusQuery): Promise<readonly QuotaBucketStatus[]> {
    return this.#backend.run("quotaStatus", query);
  }

  recalledQuota(query: {
    readonly sinceMs: number;
    readonly limit: number;
  }): Promise<readonly RecalledBucket[]> {
    return this.#backend.run("recalledQuota", query);
  }

  quotaSuspension(): Promise<QuotaSuspension | undefined> {
    return this.#backend.run("quotaSuspension", undefined);
  }

  resumeQuota(): Promise<QuotaSuspension | undefined> {
    return this.#backend.run("resumeQuota", undefined);
  }

  releaseQuota(input: QuotaReleaseInput): Promise<QuotaRelease | undefined> {
    return this.#backend.run("releaseQuota", input);
  }

  expireQuota(order: { readonly beforeMs: number; readonly limit: number }): Promise<number> {
    return this.#backend.run("expireQuota", order);
  }

  raiseAlerts(input: RaiseInput): Promise<readonly Alert[]> {
    return this.#backend.run("raiseAlerts", input);
  }

  claimDeliveries(input: ClaimInput): Promise<readonly Delivery[]> {
    return this.#backend.run("claimDeliveries", input);
  }

  finishDelivery(input: FinishInput): Promise<void> {
    return this.#backend.run("finishDelivery", input);
  }

  listAlerts(page: AlertPage): Promise<readonly AlertState[]> {
    return this.#backend.run("listAlerts", page);
  }

  async expireRecords(beforeMs: number): Promise<number> {
    for (let deleted = 0; ; ) {
      const some = await this.#backend.run("prune", { beforeMs, limit: PRUNED_A_TIME });
      deleted += some;
      if (some < PRUNED_A_TIME) return deleted;
    }
  }
}

/** Few enough that those who append meanwhile do not wait long. */
const PRUNED_A_TIME = 1_000;

const DECODES_A_TURN = 500;

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function decodeOptional(row: ResourceRow | undefined): StoredResource | undefined {
  return row && decodeResource(row);
}

/** Throws TypeError for one name twice: the second etag could not be known. */
function encodeWrites(writes: readonly ResourceWrite[]): readonly EncodedWrite[] {
  const names = new Set<string>();
  return writes.map(({ name, kind, body, expected }) => {
    if (names.has(name)) throw new TypeError(`${name} is twice in one transaction`);
    names.add(name);
    return {
      name,
      kind,
      expected,
      body: body === undefined ? null : encodeBody(body),
      secrets: body === undefined ? [] : listSecrets(body),
    };
  });
}
