import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import { toCell } from "./output.ts";
import { formatCost, formatMicroseconds, formatTime } from "./quantities.ts";
import { formatFacts, formatTable } from "./table.ts";

/** A request on one line: when, how it ended, who, what, how much, how long. */
export function formatRecordLine(record: RequestRecord): string {
  const { timeToFirstTokenUs, attempts } = record;
  const parts = [
    formatTime(record.startTime).slice(11),
    record.errorReason || "ok",
    shorten(record.key),
    describeModel(record),
    `${countInput(record.usage)}+${countOutput(record.usage)} tokens`,
    describeCost(record),
    formatMicroseconds(record.latencyUs),
    ...(timeToFirstTokenUs === undefined || !record.stream
      ? []
      : [`first ${formatMicroseconds(timeToFirstTokenUs)}`]),
    ...(attempts.length > 1 ? [`${attempts.length} attempts`] : []),
    ...(record.cache === "" || record.cache === "miss" ? [] : [`cache ${record.cache}`]),
    record.requestId,
  ];
  return parts.map(toCell).join("  ");
}

/** Everything about a request, below each other, and its attempts as a table. */
export function formatRecord(record: RequestRecord): string {
  const { usage } = record;
  const facts: Array<readonly [string, string]> = [
    ["Request", record.requestId],
    ["Time (UTC)", formatTime(record.startTime)],
    ["Outcome", describeOutcome(record)],
    ["Team", record.team],
    ["Key", record.key],
    ["User", record.user],
    ["End user", record.endUser],
    ["Session", record.sessionId],
    ["Door", `${record.door}${record.stream ? ", streamed" : ""}`],
    ["Model", describeModel(record)],
    ["Tokens", describeTokens(usage)],
    ["Cost", describeCost(record)],
    ["Latency", formatMicroseconds(record.latencyUs)],
    [
      "First token",
      record.timeToFirstTokenUs === undefined ? "" : formatMicroseconds(record.timeToFirstTokenUs),
    ],
    ["Weir's part", formatMicroseconds(record.overheadUs)],
    ["Cache", record.cache],
    ["Labels", formatLabels(record.labels)],
    ["Policy", `revision ${record.policyRevision}`],
    ["Audit", record.auditDeniedBy.map((name) => `${name} would have refused it`).join(", ")],
    ["Proxy", record.proxyId],
  ];
  const blocks = [formatFacts(facts.filter(([, value]) => value !== ""))];
  if (record.attempts.length > 0) blocks.push(formatAttempts(record));
  if (record.excluded.length > 0) blocks.push(formatExcluded(record));
  return blocks.join("\n\n");
}

function formatAttempts({ attempts }: RequestRecord): string {
  const columns = [
    { title: "#", right: true },
    { title: "ATTEMPT" },
    { title: "STATUS", right: true },
    { title: "RESULT" },
    { title: "BEGAN AT", right: true },
    { title: "TOOK", right: true },
    { title: "DETAIL" },
  ];
  const rows = attempts.map((attempt, at) => [
    String(at + 1),
    `${attempt.provider}:${attempt.upstreamModel}`,
    attempt.httpStatus === 0 ? "-" : String(attempt.httpStatus),
    attempt.errorReason || (attempt.committed ? "ok" : "ended"),
    formatMicroseconds(attempt.startUs),
    formatMicroseconds(attempt.latencyUs),
    [attempt.detail, attempt.upstreamRequestId].filter((each) => each !== "").join(" · "),
  ]);
  return formatTable(columns, rows);
}

function formatExcluded({ excluded }: RequestRecord): string {
  const columns = [{ title: "NOT TRIED" }, { title: "WHY" }];
  const rows = excluded.map((each) => [`${each.provider}:${each.upstreamModel}`, each.reason]);
  return formatTable(columns, rows);
}

function describeOutcome(record: RequestRecord): string {
  if (record.errorReason !== "") return `${record.errorReason}: ${record.errorMessage}`;
  const raw = record.rawFinishReason;
  const word = record.finishReason || "ended";
  return raw === "" || raw === record.finishReason ? word : `${word} (${raw})`;
}

function describeModel({ modelAsked, model, provider, upstreamModel }: RequestRecord): string {
  const served = model === "" || model === modelAsked ? modelAsked : `${modelAsked} → ${model}`;
  return provider === "" ? served : `${served} → ${shorten(provider)}:${upstreamModel}`;
}

function describeCost({ costKnown, costNanoUsd }: RequestRecord): string {
  return costKnown ? formatCost(costNanoUsd) : "cost unknown";
}

function describeTokens(usage: Usage | undefined): string {
  if (usage === undefined) return "";
  const buckets: ReadonlyArray<readonly [number, string]> = [
    [usage.inputTokens, "input"],
    [usage.cacheReadTokens, "from the vendor's cache"],
    [usage.cacheWriteTokens + usage.cacheWrite1hTokens, "into the vendor's cache"],
    [usage.inputAudioTokens, "input audio"],
    [usage.outputTokens, "output"],
    [usage.reasoningTokens, "reasoning"],
    [usage.outputAudioTokens, "output audio"],
  ];
  const parts = buckets.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return (parts.join(", ") || "none") + (usage.estimated ? " (estimated)" : "");
}

function formatLabels(labels: { readonly [key: string]: string }): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

function countInput(usage: Usage | undefined): number {
  if (usage === undefined) return 0;
  const cached = usage.cacheReadTokens + usage.cacheWriteTokens + usage.cacheWrite1hTokens;
  return usage.inputTokens + cached + usage.inputAudioTokens;
}

function countOutput(usage: Usage | undefined): number {
  if (usage === undefined) return 0;
  return usage.outputTokens + usage.reasoningTokens + usage.outputAudioTokens;
}

/** `teams/a/keys/b` as `a/b`, `providers/c` as `c`. */
function shorten(name: string): string {
  return name.replace(/^(?:teams|providers)\//, "").replace("/keys/", "/");
}
