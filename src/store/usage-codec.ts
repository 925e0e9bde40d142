import type { UsageRow, UsageTotals } from "../../gen/weir/admin/v1/usage_service_pb.ts";
import { TimeBucket, UsageDimension } from "../../gen/weir/admin/v1/usage_service_pb.ts";
import { encodeScope } from "./ledger-codec.ts";
import type { SqlRow } from "./sql-session.ts";
import { readInteger, readText } from "./sql-session.ts";
import type { UsageQuery } from "./store.ts";
import { StoreError } from "./store.ts";
import type { UsageColumn, UsageInput, UsageStep } from "./usage-query.ts";
import type { rollupSums } from "./usage-rollup.ts";

/** Throws StoreError when a dimension or a step is none. */
export function encodeUsageQuery(query: UsageQuery): UsageInput {
  const columns = new Set<UsageColumn>();
  for (const dimension of query.groupBy) columns.add(mapDimension(dimension));
  return {
    scope: encodeScope(query.filter),
    columns: [...columns],
    label: query.label,
    step: mapStep(query.timeBucket),
    offset: query.offset,
    limit: query.limit,
  };
}

export function decodeUsageRow(row: SqlRow, columns: readonly UsageColumn[]): UsageRow {
  const group = (column: UsageColumn) =>
    columns.includes(column) ? readText(row, `g_${column}`) : "";
  const usage: UsageRow = {
    $typeName: "weir.admin.v1.UsageRow",
    team: group("team"),
    key: group("key"),
    user: group("user"),
    model: group("model"),
    provider: group("provider"),
    labelValue: group("label"),
    totals: decodeTotals(row),
  };
  if (columns.includes("time")) {
    usage.startTime = {
      $typeName: "google.protobuf.Timestamp",
      seconds: BigInt(Math.floor(readInteger(row, "g_time") / 1000)),
      nanos: 0,
    };
  }
  return usage;
}

function decodeTotals(row: SqlRow): UsageTotals {
  const sum = (name: keyof typeof rollupSums) => BigInt(readText(row, name));
  return {
    $typeName: "weir.admin.v1.UsageTotals",
    requests: sum("requests"),
    errors: sum("errors"),
    inputTokens: sum("input_tokens"),
    cacheReadTokens: sum("cache_read_tokens"),
    cacheWriteTokens: sum("cache_write_tokens"),
    inputAudioTokens: sum("input_audio_tokens"),
    outputTokens: sum("output_tokens"),
    reasoningTokens: sum("reasoning_tokens"),
    outputAudioTokens: sum("output_audio_tokens"),
    costNanoUsd: sum("cost_nano_usd"),
    unpricedRequests: sum("unpriced_requests"),
    latencyUs: sum("latency_us"),
  };
}

const dimensions: ReadonlyMap<UsageDimension, UsageColumn> = new Map<UsageDimension, UsageColumn>([
  [UsageDimension.TEAM, "team"],
  [UsageDimension.KEY, "key"],
  [UsageDimension.USER, "user"],
  [UsageDimension.MODEL, "model"],
  [UsageDimension.PROVIDER, "provider"],
  [UsageDimension.LABEL, "label"],
  [UsageDimension.TIME, "time"],
]);

const steps: ReadonlyMap<TimeBucket, UsageStep> = new Map<TimeBucket, UsageStep>([
  [TimeBucket.UNSPECIFIED, "day"],
  [TimeBucket.MINUTE, "minute"],
  [TimeBucket.HOUR, "hour"],
  [TimeBucket.DAY, "day"],
  [TimeBucket.MONTH, "month"],
]);

function mapDimension(dimension: UsageDimension): UsageColumn {
  const column = dimensions.get(dimension);
  if (column === undefined) throw new StoreError(`${dimension} is nothing to group usage by.`);
  return column;
}

function mapStep(bucket: TimeBucket): UsageStep {
  const step = steps.get(bucket);
  if (step === undefined) throw new StoreError(`${bucket} is no step of time.`);
  return step;
}
