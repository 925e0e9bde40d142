import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import type { Decision, Finish } from "../../../../gen/weir/v1/chat_pb.ts";
import type { Cost, Usage } from "../../../../gen/weir/v1/usage_pb.ts";
import type { BackWriter } from "./back-writer.ts";

// What all answers tell of how they came about, as fields with a tag: the number of the field times
// eight, plus 2 for what has a length before it and 0 for a number. Unset ones are left out.

/** A `weir.v1.Decision`. */
export function putDecision(writer: BackWriter, tag: number, decision: Decision | undefined): void {
  if (decision === undefined) return;
  if (decision.$unknown !== undefined) writer.spoil();
  const { written } = writer;
  putTexts(writer, 0x62, decision.unprovenBy);
  writer.string(0x5a, decision.downgradedBy);
  writer.string(0x52, decision.clampedBy);
  putTexts(writer, 0x4a, decision.warnings);
  writer.string(0x42, decision.upstreamId);
  writer.int64(0x38, decision.policyRevision);
  writer.int32(0x30, decision.cache);
  writer.int32(0x28, decision.attempts);
  writer.string(0x22, decision.upstreamModel);
  writer.string(0x1a, decision.provider);
  writer.string(0x12, decision.model);
  writer.string(0x0a, decision.requestId);
  writer.message(tag, written);
}

/** A `weir.v1.Finish`. */
export function putFinish(writer: BackWriter, tag: number, finish: Finish | undefined): void {
  if (finish === undefined) return;
  if (finish.$unknown !== undefined) writer.spoil();
  const { written } = writer;
  writer.string(0x1a, finish.stopSequence);
  writer.string(0x12, finish.raw);
  writer.int32(0x08, finish.reason);
  writer.message(tag, written);
}

/** A `weir.v1.Usage`. */
export function putUsage(writer: BackWriter, tag: number, usage: Usage | undefined): void {
  if (usage === undefined) return;
  if (usage.$unknown !== undefined) writer.spoil();
  for (const _tool in usage.vendorToolCalls) writer.spoil();
  const { written } = writer;
  if (usage.upstreamCostNanoUsd !== undefined) writer.bigNumber(0x58, usage.upstreamCostNanoUsd);
  writer.bool(0x50, usage.estimated);
  writer.int32(0x40, usage.outputAudioTokens);
  writer.int32(0x38, usage.reasoningTokens);
  writer.int32(0x30, usage.outputTokens);
  writer.int32(0x28, usage.inputAudioTokens);
  writer.int32(0x20, usage.cacheWrite1hTokens);
  writer.int32(0x18, usage.cacheWriteTokens);
  writer.int32(0x10, usage.cacheReadTokens);
  writer.int32(0x08, usage.inputTokens);
  writer.message(tag, written);
}

/** A `weir.v1.Cost`. */
export function putCost(writer: BackWriter, tag: number, cost: Cost | undefined): void {
  if (cost === undefined) return;
  if (cost.$unknown !== undefined) writer.spoil();
  const { written } = writer;
  writer.bool(0x20, cost.known);
  writer.int64(0x18, cost.outputNanoUsd);
  writer.int64(0x10, cost.inputNanoUsd);
  writer.int64(0x08, cost.costNanoUsd);
  writer.message(tag, written);
}

/** A `google.protobuf.Duration` or `google.protobuf.Timestamp`. */
export function putTime(
  writer: BackWriter,
  tag: number,
  time: Duration | Timestamp | undefined,
): void {
  if (time === undefined) return;
  if (time.$unknown !== undefined) writer.spoil();
  const { written } = writer;
  writer.int32(0x10, time.nanos);
  writer.int64(0x08, time.seconds);
  writer.message(tag, written);
}

function putTexts(writer: BackWriter, tag: number, texts: readonly string[]): void {
  for (let at = texts.length - 1; at >= 0; at--) writer.item(tag, texts[at] ?? "");
}
