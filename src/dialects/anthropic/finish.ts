import { type Finish, FinishReason } from "../../../gen/weir/v1/chat_pb.ts";

/** Anthropic's `stop_reason` and `stop_sequence` as a finish. */
export function mapFinish(stopReason: string, stopSequence: string): Finish {
  return {
    $typeName: "weir.v1.Finish",
    reason: reasons.get(stopReason) ?? FinishReason.OTHER,
    raw: stopReason,
    stopSequence,
  };
}

/**
 * A finish as a `stop_reason`: Anthropic's own word where it said one. `calledTools` says that the
 * answer holds tool calls: some vendors end such an answer with a plain stop, and clients of
 * Anthropic run tools only after `tool_use`.
 */
export function mapStopReason(finish: Finish | undefined, calledTools: boolean): string {
  if (finish === undefined) return calledTools ? "tool_use" : "end_turn";
  if (reasons.has(finish.raw)) return finish.raw;
  switch (finish.reason) {
    case FinishReason.LENGTH:
      return "max_tokens";
    case FinishReason.TOOL_CALLS:
      return "tool_use";
    case FinishReason.CONTENT_FILTER:
      return "refusal";
    case FinishReason.PAUSE:
      return "pause_turn";
    default:
      if (finish.stopSequence !== "") return "stop_sequence";
      return calledTools ? "tool_use" : "end_turn";
  }
}

const reasons = new Map<string, FinishReason>([
  ["end_turn", FinishReason.STOP],
  ["stop_sequence", FinishReason.STOP],
  ["max_tokens", FinishReason.LENGTH],
  ["model_context_window_exceeded", FinishReason.LENGTH],
  ["tool_use", FinishReason.TOOL_CALLS],
  ["pause_turn", FinishReason.PAUSE],
  ["refusal", FinishReason.CONTENT_FILTER],
]);
