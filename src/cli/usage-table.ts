import {
  type QueryUsageRequest,
  UsageDimension,
  type UsageRow,
  type UsageTotals,
} from "../../gen/weir/admin/v1/usage_service_pb.ts";
import { formatCost, formatCount, formatMicroseconds, formatTime } from "./quantities.ts";
import { type Column, formatTable } from "./table.ts";

/** Rows of usage as a table, with their sum below when there are several. */
export function formatUsage(
  rows: readonly UsageRow[],
  { groupBy, label }: Pick<QueryUsageRequest, "groupBy" | "label">,
): string {
  const columns: Column[] = [
    ...groupBy.map((dimension) => ({ title: titleOf(dimension, label) })),
    { title: "REQUESTS", right: true },
    { title: "ERRORS", right: true },
    { title: "INPUT", right: true },
    { title: "CACHED", right: true },
    { title: "OUTPUT", right: true },
    { title: "LATENCY", right: true },
    { title: "COST", right: true },
  ];
  const lines = rows.map((row) => [
    ...groupBy.map((dimension) => keyOf(row, dimension) || "-"),
    ...formatTotals(row.totals),
  ]);
  const sum = addUp(rows);
  if (rows.length > 1)
    lines.push([...groupBy.map((_, at) => (at === 0 ? "TOTAL" : "")), ...formatTotals(sum)]);
  const note =
    sum.unpricedRequests > 0n
      ? `\n\n${formatCount(sum.unpricedRequests)} of the requests have no known price: the cost is more.`
      : "";
  return formatTable(columns, lines) + note;
}

/**
 * Input and output are the sums of their buckets; what vendors' caches gave is a part of the input.
 */
function formatTotals(totals: Sum | undefined): string[] {
  if (totals === undefined) return [];
  const { inputTokens, cacheReadTokens, cacheWriteTokens, inputAudioTokens } = totals;
  const input = inputTokens + cacheReadTokens + cacheWriteTokens + inputAudioTokens;
  const output = totals.outputTokens + totals.reasoningTokens + totals.outputAudioTokens;
  const mean = totals.requests === 0n ? 0n : totals.latencyUs / totals.requests;
  return [
    formatCount(totals.requests),
    formatCount(totals.errors),
    formatCount(input),
    formatCount(cacheReadTokens),
    formatCount(output),
    formatMicroseconds(mean),
    `${formatCost(totals.costNanoUsd)}${totals.unpricedRequests > 0n ? "+" : ""}`,
  ];
}

type Sum = Omit<UsageTotals, "$typeName" | "$unknown">;

function addUp(rows: readonly UsageRow[]): Sum {
  const sum = {
    requests: 0n,
    errors: 0n,
    inputTokens: 0n,
    cacheReadTokens: 0n,
    cacheWriteTokens: 0n,
    inputAudioTokens: 0n,
    outputTokens: 0n,
    reasoningTokens: 0n,
    outputAudioTokens: 0n,
    costNanoUsd: 0n,
    unpricedRequests: 0n,
    latencyUs: 0n,
  };
  for (const { totals } of rows) {
    if (totals === undefined) continue;
    sum.requests += totals.requests;
    sum.errors += totals.errors;
    sum.inputTokens += totals.inputTokens;
    sum.cacheReadTokens += totals.cacheReadTokens;
    sum.cacheWriteTokens += totals.cacheWriteTokens;
    sum.inputAudioTokens += totals.inputAudioTokens;
    sum.outputTokens += totals.outputTokens;
    sum.reasoningTokens += totals.reasoningTokens;
    sum.outputAudioTokens += totals.outputAudioTokens;
    sum.costNanoUsd += totals.costNanoUsd;
    sum.unpricedRequests += totals.unpricedRequests;
    sum.latencyUs += totals.latencyUs;
  }
  return sum;
}

function titleOf(dimension: UsageDimension, label: string): string {
  switch (dimension) {
    case UsageDimension.TEAM:
      return "TEAM";
    case UsageDimension.KEY:
      return "KEY";
    case UsageDimension.USER:
      return "USER";
    case UsageDimension.MODEL:
      return "MODEL";
    case UsageDimension.PROVIDER:
      return "PROVIDER";
    case UsageDimension.LABEL:
      return label.toUpperCase();
    default:
      return "TIME (UTC)";
  }
}

function keyOf(row: UsageRow, dimension: UsageDimension): string {
  switch (dimension) {
    case UsageDimension.TEAM:
      return row.team;
    case UsageDimension.KEY:
      return row.key;
    case UsageDimension.USER:
      return row.user;
    case UsageDimension.MODEL:
      return row.model;
    case UsageDimension.PROVIDER:
      return row.provider;
    case UsageDimension.LABEL:
      return row.labelValue;
    default:
      return formatTime(row.startTime).replace(" 00:00:00", "").replace(/:00$/, "");
  }
}
