import type { ChatDialect } from "../../src/dialects/dialect.ts";
import type { ChatAsk, DialectName } from "../../src/mesh/ask.ts";
import type { ChatEvent } from "../../src/mesh/chunk.ts";
import { MeshError } from "../../src/mesh/errors.ts";
import type { JsonObject } from "../../src/mesh/json.ts";

/**
 * As much of OpenAI's dialect as its client needs to be content, so that the door is tested alone.
 */
export const pretendOpenai: ChatDialect = {
  name: "openai",
  client: {
    readAsk: (body, bytes) => readPretendAsk("openai", body, bytes),
    writeAnswer: (response) => ({
      id: response.decision?.requestId,
      object: "chat.completion",
      created: Number(response.createTime?.seconds),
      model: response.decision?.model,
      choices: response.choices.map((choice) => ({
        index: choice.index,
        message: { role: "assistant", content: readText(choice.message?.parts ?? []) },
        finish_reason: "stop",
      })),
      usage: { prompt_tokens: response.usage?.inputTokens },
    }),
    createStreamWriter: () => ({
      start: (decision) => frame({ id: decision.requestId, choices: [] }),
      events: (events) => events.map(writeDelta).join(""),
      end: (_outcome, passedThrough) =>
        passedThrough
          ? "data: [DONE]\n\n"
          : `${frame({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}data: [DONE]\n\n`,
      error: (error, requestId) => frame(writeError(error, requestId)),
    }),
    writeError,
  },
  get vendor(): never {
    throw new Error("a door has no business with vendors");
  },
};

export function readPretendAsk(dialect: DialectName, body: JsonObject, bytes: number): ChatAsk {
  if (typeof body.model !== "string") {
    throw new MeshError("INVALID_REQUEST", "model must be a string.", { field: "model" });
  }
  return {
    dialect,
    model: body.model,
    fallbackModels: [],
    stream: body.stream === true,
    labels: {},
    sessionId: "",
    endUser: "",
    bytes,
    wire: body,
    parameters: () => [],
    chat: () => {
      throw new Error("not needed");
    },
  };
}

export function readText(
  parts: readonly { part: { case?: string | undefined; value?: unknown } }[],
): string {
  let text = "";
  for (const { part } of parts) {
    const { value } = part;
    if (typeof value === "object" && value !== null && "text" in value) text += value.text;
  }
  return text;
}

function writeError(error: MeshError, requestId: string): JsonObject {
  return {
    error: {
      message: error.message,
      type: error.row.openai,
      code: error.reason,
      param: error.details.field ?? null,
      metadata: { request_id: requestId },
    },
  };
}

function writeDelta(event: ChatEvent): string {
  if (event.case !== "textDelta") return "";
  return frame({ choices: [{ index: 0, delta: { content: event.value.text } }] });
}

function frame(json: JsonObject): string {
  return `data: ${JSON.stringify({ object: "chat.completion.chunk", ...json })}\n\n`;
}
