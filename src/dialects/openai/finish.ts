import { type Finish, FinishReason } from "../../../gen/weir/v1/chat_pb.ts";
import type { Field } from "./field.ts";

const reasonOf = new Map<string, FinishReason>([
  ["stop", FinishReason.STOP],
  ["eos", FinishReason.STOP],
  ["length", FinishReason.LENGTH],
  ["tool_calls", FinishReason.TOOL_CALLS],
  ["function_call", FinishReason.TOOL_CALLS],
  ["content_filter", FinishReason.CONTENT_FILTER],
  ["error", FinishReason.ERROR],
]);

/**
 * A vendor's word for the end of an answer. Several vendors say `stop` after tool calls, which
 * would end an agent's loop, so that `calledTools` decides there; the raw word stays. `native` is
 * the word of the vendor beneath, where OpenRouter tells it.
 */
export function readFinish(word: string, native: Field, calledTools: boolean): Finish {
  const reason = reasonOf.get(word) ?? FinishReason.OTHER;
  const raw = typeof native === "string" && native !== "" ? native : word;
  const unified = reason === FinishReason.STOP && calledTools ? FinishReason.TOOL_CALLS : reason;
  return { $typeName: "weir.v1.Finish", reason: unified, raw, stopSequence: "" };
}

/** A finish of which nothing is known. */
export function createUnknownFinish(): Finish {
  return {
    $typeName: "weir.v1.Finish",
    reason: FinishReason.UNSPECIFIED,
    raw: "",
    stopSequence: "",
  };
}

/** OpenAI's word for it; `stop` for what OpenAI has no word for. */
export function writeFinish(finish: Finish | undefined): string {
  switch (finish?.reason) {
    case FinishReason.LENGTH:
      return "length";
    case FinishReason.TOOL_CALLS:
      return "tool_calls";
    case FinishReason.CONTENT_FILTER:
      return "content_filter";
    case FinishReason.ERROR:
      return "error";
    default:
      return "stop";
  }
}
