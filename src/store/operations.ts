import { claimDeliveries, finishDelivery, listAlerts, raiseAlerts } from "./alert-operations.ts";
import { commitResources } from "./commit-operation.ts";
import { readLastUsed, readRecent, readRecord } from "./ledger-reads.ts";
import { appendBatches, pruneRows } from "./ledger-writes.ts";
import { applyNextMigration } from "./migrations.ts";
import {
  findSecret,
  getResource,
  listResources,
  readAllResources,
  readChangesSince,
  readHistory,
  readResourceAt,
  readRevision,
} from "./policy-reads.ts";
import { reportQuota } from "./quota-operation.ts";
import { releaseQuota } from "./quota-release.ts";
import { expireQuota, readQuotaStatus, readRecalled } from "./quota-status.ts";
import { readSuspension, resumeQuota } from "./quota-suspension.ts";
import type { SqlSession } from "./sql-session.ts";
import { readText } from "./sql-session.ts";
import { readStatus } from "./status-operation.ts";
import { sumUsage } from "./usage-query.ts";

/**
 * Everything that a store does, written once for all engines. Each runs within one transaction;
 * inputs and outputs are plain data, so that an engine may live in another thread.
 */
export const operations = {
  migrate: applyNextMigration,
  install: readInstallation,
  commit: commitResources,
  append: appendBatches,
  prune: pruneRows,
  reportQuota,
  resumeQuota,
  releaseQuota,
  expireQuota,
  raiseAlerts,
  claimDeliveries,
  finishDelivery,

  revision: readRevision,
  readAll: readAllResources,
  get: getResource,
  list: listResources,
  findSecret,
  changesSince: readChangesSince,
  history: readHistory,
  getAt: readResourceAt,
  record: readRecord,
  lastUsed: readLastUsed,
  recalledQuota: readRecalled,
  quotaSuspension: readSuspension,
  listAlerts,

  recent: readRecent,
  usage: sumUsage,
  status: readStatus,
  quotaStatus: readQuotaStatus,
} as const;

export type OperationName = keyof typeof operations;

export type OperationInput<K extends OperationName> = Parameters<(typeof operations)[K]>[1];

export type OperationOutput<K extends OperationName> = Awaited<ReturnType<(typeof operations)[K]>>;

/**
 * Runs operations in transactions of its own. An engine chooses by `operationLanes` where.
 * Rejects with StoreError alone; a write that has resolved is durable.
 */
export interface SqlBackend {
  run<K extends OperationName>(name: K, input: OperationInput<K>): Promise<OperationOutput<K>>;
  /** Finishes what was begun. */
  close(): Promise<void>;
}

/**
 * Writes go one after the other; short reads and scans of the ledger never wait for them, nor for
 * each other.
 */
export type Lane = "write" | "read" | "scan";

export const operationLanes: Readonly<Record<OperationName, Lane>> = {
  migrate: "write",
  install: "write",
  commit: "write",
  append: "write",
  prune: "write",
  reportQuota: "write",
  resumeQuota: "write",
  releaseQuota: "write",
  expireQuota: "write",
  raiseAlerts: "write",
  claimDeliveries: "write",
  finishDelivery: "write",
  revision: "read",
  readAll: "read",
  get: "read",
  list: "read",
  findSecret: "read",
  changesSince: "read",
  history: "read",
  getAt: "read",
  record: "read",
  lastUsed: "read",
  recalledQuota: "read",
  quotaSuspension: "read",
  listAlerts: "read",
  recent: "scan",
  usage: "scan",
  status: "scan",
  quotaStatus: "scan",
};

/** The identity of this installation; `proposed` when it has none yet. */
async function readInstallation(session: SqlSession, proposed: string): Promise<string> {
  await session.run(
    "INSERT INTO installation (key, value) VALUES ('id', $1) ON CONFLICT DO NOTHING",
    [proposed],
  );
  const [row] = await session.rows("SELECT value FROM installation WHERE key = 'id'");
  return row === undefined ? proposed : readText(row, "value");
}
