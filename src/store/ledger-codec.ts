import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import type { LedgerRow } from "./ledger-rows.ts";
import type { LedgerScope } from "./ledger-scope.ts";
import type { LedgerFilter } from "./store.ts";
import { StoreError } from "./store.ts";

export function encodeRecord(record: RequestRecord): LedgerRow {
  const startMs = readMilliseconds(record.startTime) ?? 0;
  const { usage } = record;
  return {
    requestId: record.requestId,
    startMs,
    key: record.key,
    labels: Object.entries(record.labels),
    values: [
      record.requestId,
      startMs,
      record.kind,
      record.door,
      record.stream ? 1 : 0,
      record.team,
      record.key,
      record.user,
      record.modelAsked,
      record.model,
      record.provider,
      record.upstreamModel,
      usage?.inputTokens ?? 0,
      usage?.cacheReadTokens ?? 0,
      usage?.cacheWriteTokens ?? 0,
      usage?.cacheWrite1hTokens ?? 0,
      usage?.inputAudioTokens ?? 0,
      usage?.outputTokens ?? 0,
      usage?.reasoningTokens ?? 0,
      usage?.outputAudioTokens ?? 0,
      record.costNanoUsd,
      record.costKnown ? 1 : 0,
      record.latencyUs,
      record.timeToFirstTokenUs ?? null,
      record.finishReason,
      record.errorReason,
      record.cache,
      record.policyRevision,
      record.proxyId,
      toBinary(RequestRecordSchema, record),
    ],
  };
}

export function decodeRecord(bytes: Uint8Array): RequestRecord {
  return fromBinary(RequestRecordSchema, bytes);
}

/** More names than this would not fit into one statement. */
const NAMES_MAX = 10_000;

/** Throws StoreError when the filter names more than 10,000 things. */
export function encodeScope(filter: LedgerFilter): LedgerScope {
  const { teams, keys, users, models, providers } = filter;
  const names = teams.length + keys.length + users.length + 2 * models.length + providers.length;
  if (names > NAMES_MAX) {
    throw new StoreError(`The filter names more than ${NAMES_MAX} things: ask in several parts.`);
  }
  return {
    startMs: readMilliseconds(filter.startTime),
    endMs: readMilliseconds(filter.endTime),
    teams,
    keys,
    users,
    models,
    providers,
    labels: Object.entries(filter.labels),
    onlyErrors: filter.onlyErrors,
  };
}

/** Milliseconds since 1970, rounded down. */
function readMilliseconds(time: Timestamp | undefined): number | undefined {
  return time && Number(time.seconds) * 1000 + Math.floor(time.nanos / 1_000_000);
}
