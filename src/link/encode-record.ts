import type {
  AttemptRecord,
  ExcludedTarget,
  RequestRecord,
} from "../../gen/weir/admin/v1/record_pb.ts";
import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { WireWriter } from "./wire-writer.ts";

/**
 * Encodes a record as protobuf has it, field by field. A test fills every field of the generated
 * descriptor and decodes what comes out, so that a field which is added to the message and not here
 * is found.
 */
export function encodeRecord(writer: WireWriter, record: RequestRecord): void {
  writer.string(1, record.requestId);
  if (record.startTime !== undefined) {
    const start = writer.begin(2);
    writer.int64(1, record.startTime.seconds);
    writer.int32(2, record.startTime.nanos);
    writer.end(start);
  }
  writer.int64(3, record.latencyUs);
  if (record.timeToFirstTokenUs !== undefined) writer.optionalInt64(4, record.timeToFirstTokenUs);
  writer.int32(5, record.kind);
  writer.string(6, record.door);
  writer.bool(7, record.stream);
  writer.string(8, record.team);
  writer.string(9, record.key);
  writer.string(10, record.user);
  writer.string(11, record.modelAsked);
  writer.string(12, record.model);
  writer.string(13, record.provider);
  writer.string(14, record.upstreamModel);
  for (const attempt of record.attempts) encodeAttempt(writer, attempt);
  if (record.usage !== undefined) encodeUsage(writer, record.usage);
  writer.int64(17, record.costNanoUsd);
  writer.bool(18, record.costKnown);
  writer.string(19, record.finishReason);
  writer.string(20, record.rawFinishReason);
  writer.string(21, record.errorReason);
  writer.string(22, record.cache);
  encodeLabels(writer, record.labels);
  writer.int64(24, record.policyRevision);
  writer.string(25, record.proxyId);
  writer.int64(26, record.overheadUs);
  for (const excluded of record.excluded) encodeExcluded(writer, excluded);
  for (const policy of record.auditDeniedBy) writer.repeatedString(28, policy);
  writer.string(29, record.sessionId);
  writer.string(30, record.endUser);
  writer.string(31, record.errorMessage);
  writer.string(32, record.clampedBy);
  writer.string(33, record.downgradedBy);
  for (const policy of record.unprovenBy) writer.repeatedString(34, policy);
}

function encodeAttempt(writer: WireWriter, attempt: AttemptRecord): void {
  const start = writer.begin(15);
  writer.string(1, attempt.provider);
  writer.string(2, attempt.upstreamModel);
  writer.int32(3, attempt.httpStatus);
  writer.string(4, attempt.errorReason);
  writer.string(5, attempt.detail);
  writer.int64(6, attempt.startUs);
  writer.int64(7, attempt.latencyUs);
  writer.bool(8, attempt.committed);
  writer.string(9, attempt.upstreamRequestId);
  writer.end(start);
}

function encodeUsage(writer: WireWriter, usage: Usage): void {
  const start = writer.begin(16);
  writer.int32(1, usage.inputTokens);
  writer.int32(2, usage.cacheReadTokens);
  writer.int32(3, usage.cacheWriteTokens);
  writer.int32(4, usage.cacheWrite1hTokens);
  writer.int32(5, usage.inputAudioTokens);
  writer.int32(6, usage.outputTokens);
  writer.int32(7, usage.reasoningTokens);
  writer.int32(8, usage.outputAudioTokens);
  const calls = usage.vendorToolCalls;
  for (const tool in calls) {
    const entry = writer.begin(9);
    writer.string(1, tool);
    writer.int32(2, calls[tool] ?? 0);
    writer.end(entry);
  }
  writer.bool(10, usage.estimated);
  if (usage.upstreamCostNanoUsd !== undefined) {
    writer.optionalInt64(11, usage.upstreamCostNanoUsd);
  }
  writer.end(start);
}

function encodeLabels(writer: WireWriter, labels: Readonly<Record<string, string>>): void {
  for (const name in labels) {
    const entry = writer.begin(23);
    writer.string(1, name);
    writer.string(2, labels[name] ?? "");
    writer.end(entry);
  }
}

function encodeExcluded(writer: WireWriter, excluded: ExcludedTarget): void {
  const start = writer.begin(27);
  writer.string(1, excluded.provider);
  writer.string(2, excluded.upstreamModel);
  writer.string(3, excluded.reason);
  writer.end(start);
}
