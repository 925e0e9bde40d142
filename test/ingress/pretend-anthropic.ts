import type { ChatDialect } from "../../src/dialects/dialect.ts";
import type { MeshError } from "../../src/mesh/errors.ts";
import type { JsonObject } from "../../src/mesh/json.ts";
import { readPretendAsk, readText } from "./pretend-openai.ts";

/**
 * As much of Anthropic's dialect as its client needs to be content, so that the door is tested
 * alone.
 */
export const pretendAnthropic: ChatDialect = {
  name: "anthropic",
  client: {
    readAsk: (body, bytes) => readPretendAsk("anthropic", body, bytes),
    writeAnswer: (response) => ({
      id: response.decision?.requestId,
      type: "message",
      role: "assistant",
      model: response.decision?.model,
      content: [{ type: "text", text: readText(response.choices[0]?.message?.parts ?? []) }],
      stop_reason: "end_turn",
      stop_sequence: null,
      usage: { input_tokens: response.usage?.inputTokens, output_tokens: 2 },
    }),
    createStreamWriter: () => ({
      start: (decision) =>
        frame("message_start", {
          message: {
            id: decision.requestId,
            type: "message",
            role: "assistant",
            model: decision.model,
            content: [],
            usage: { input_tokens: 3, output_tokens: 0 },
          },
        }) + frame("content_block_start", { index: 0, content_block: { type: "text", text: "" } }),
      events: (events) =>
        events
          .map((event) =>
            event.case === "textDelta"
              ? frame("content_block_delta", {
                  index: 0,
                  delta: { type: "text_delta", text: event.value.text },
                })
              : "",
          )
          .join(""),
      end: (outcome, passedThrough) =>
        passedThrough
          ? frame("message_stop", {})
          : frame("content_block_stop", { index: 0 }) +
            frame("message_delta", {
              delta: { stop_reason: "end_turn", stop_sequence: null },
              usage: { output_tokens: outcome.usage.outputTokens },
            }) +
            frame("message_stop", {}),
      error: (error, requestId) => frame("error", writeError(error, requestId)),
    }),
    writeError,
  },
  get vendor(): never {
    throw new Error("a door has no business with vendors");
  },
};

function writeError(error: MeshError, requestId: string): JsonObject {
  return {
    type: "error",
    error: { type: error.row.anthropic, message: error.message },
    request_id: requestId,
  };
}

function frame(type: string, json: JsonObject): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...json })}\n\n`;
}
