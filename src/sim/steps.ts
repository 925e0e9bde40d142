import type { Choice, ContentPart } from "../../gen/weir/v1/chat_pb.ts";
import { Role } from "../../gen/weir/v1/chat_pb.ts";
import type { CreateChatResponse } from "../../gen/weir/v1/chat_service_pb.ts";
import type { ChatEvent } from "../mesh/chunk.ts";
import type { SimAnswer, SimChoice } from "./engine.ts";
import { countTokens, splitByTokens } from "./tokens.ts";

/** One event of a streamed answer and the time that it takes, in tokens. */
export interface SimStep {
  readonly event: ChatEvent;
  readonly tokens: number;
}

/** An answer as the events of a stream, `chunkTokens` tokens each. */
export function listSteps(answer: SimAnswer, chunkTokens: number): SimStep[] {
  const steps: SimStep[] = [];
  answer.choices.forEach((choice, choiceIndex) => {
    for (const text of splitByTokens(choice.reasoning, chunkTokens)) {
      steps.push({ event: createReasoningDelta(choiceIndex, text), tokens: countTokens(text) });
    }
    for (const text of splitByTokens(choice.text, chunkTokens)) {
      steps.push({ event: createTextDelta(choiceIndex, text), tokens: countTokens(text) });
    }
    addToolCalls(steps, choiceIndex, choice, chunkTokens);
    steps.push({
      event: {
        case: "choiceFinished",
        value: { $typeName: "weir.v1.ChoiceFinished", choiceIndex, finish: choice.finish },
      },
      tokens: 0,
    });
  });
  return steps;
}

/** True for what a caller would see. */
export function isContent(event: ChatEvent): boolean {
  return event.case !== "choiceFinished";
}

/** An answer as one message, without the decision and the cost that Weir adds. */
export function createResponse(answer: SimAnswer, withUsage: boolean): CreateChatResponse {
  const response: CreateChatResponse = {
    $typeName: "weir.v1.CreateChatResponse",
    choices: answer.choices.map(createChoice),
    upstreamModelVersion: `sim-${answer.model}`,
    vendorFields: "",
  };
  if (withUsage) response.usage = answer.usage;
  return response;
}

function createChoice(choice: SimChoice, index: number): Choice {
  const parts: ContentPart["part"][] = [];
  if (choice.reasoning !== "") {
    const { reasoning: text } = choice;
    const value = {
      $typeName: "weir.v1.ReasoningPart",
      text,
      signature: "",
      redacted: "",
    } as const;
    parts.push({ case: "reasoning", value });
  }
  if (choice.text !== "") {
    const value = { $typeName: "weir.v1.Text" as const, text: choice.text, citations: [] };
    parts.push({ case: "text", value });
  }
  for (const call of choice.toolCalls) {
    const value = { $typeName: "weir.v1.ToolCall", ...call, signature: "" } as const;
    parts.push({ case: "toolCall", value });
  }
  return {
    $typeName: "weir.v1.Choice",
    index,
    message: {
      $typeName: "weir.v1.Message",
      role: Role.ASSISTANT,
      parts: parts.map((part) => ({ $typeName: "weir.v1.ContentPart", part })),
      name: "",
    },
    finish: choice.finish,
    logprobs: [],
    refusalLogprobs: [],
  };
}

function addToolCalls(
  steps: SimStep[],
  choiceIndex: number,
  choice: SimChoice,
  chunkTokens: number,
): void {
  choice.toolCalls.forEach((call, toolCallIndex) => {
    const { id, name, custom } = call;
    const at = { choiceIndex, toolCallIndex };
    steps.push({
      event: {
        case: "toolCallStarted",
        value: { $typeName: "weir.v1.ToolCallStarted", ...at, id, name, custom, signature: "" },
      },
      tokens: countTokens(name),
    });
    for (const text of splitByTokens(call.arguments, chunkTokens)) {
      steps.push({
        event: {
          case: "toolCallArgumentsDelta",
          value: { $typeName: "weir.v1.ToolCallArgumentsDelta", ...at, arguments: text },
        },
        tokens: countTokens(text),
      });
    }
    steps.push({
      event: { case: "toolCallDone", value: { $typeName: "weir.v1.ToolCallDone", ...at } },
      tokens: 0,
    });
  });
}

function createTextDelta(choiceIndex: number, text: string): ChatEvent {
  return { case: "textDelta", value: { $typeName: "weir.v1.TextDelta", choiceIndex, text } };
}

function createReasoningDelta(choiceIndex: number, text: string): ChatEvent {
  return {
    case: "reasoningDelta",
    value: {
      $typeName: "weir.v1.ReasoningDelta",
      choiceIndex,
      text,
      signature: "",
      redacted: "",
      reasoningIndex: 0,
    },
  };
}
