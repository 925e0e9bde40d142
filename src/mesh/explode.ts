import { create, toJsonString } from "@bufbuild/protobuf";
import { type Choice, type ContentPart, ContentPartSchema } from "../../gen/weir/v1/chat_pb.ts";
import type { CreateChatResponse } from "../../gen/weir/v1/chat_service_pb.ts";
import type { ChatEvent } from "./chunk.ts";

/**
 * The dialect of vendor parts that carry a `weir.v1.ContentPart`: kinds for which the stream has no
 * event of its own.
 */
export const OWN_PART_DIALECT = "weir";

/**
 * A whole answer as the events of a stream, for callers who asked for one: what AnswerFold folds
 * back. Without `started` and `finished`, which the door writes.
 */
export function explodeAnswer(response: CreateChatResponse): ChatEvent[] {
  const events: ChatEvent[] = [];
  for (const choice of response.choices) explodeChoice(choice, events);
  return events;
}

function explodeChoice(choice: Choice, events: ChatEvent[]): void {
  const numbers = { choiceIndex: choice.index, toolCallIndex: 0, reasoningIndex: 0 };
  for (const part of choice.message?.parts ?? []) explodePart(part, numbers, events);
  if (choice.logprobs.length > 0 || choice.refusalLogprobs.length > 0) {
    const { logprobs, refusalLogprobs } = choice;
    events.push({
      case: "logprobsDelta",
      value: {
        $typeName: "weir.v1.LogprobsDelta",
        choiceIndex: choice.index,
        logprobs,
        refusalLogprobs,
      },
    });
  }
  if (choice.finish === undefined) return;
  events.push({
    case: "choiceFinished",
    value: {
      $typeName: "weir.v1.ChoiceFinished",
      choiceIndex: choice.index,
      finish: choice.finish,
    },
  });
}

/** Where in the answer the next part stands. */
interface PartNumbers {
  readonly choiceIndex: number;
  toolCallIndex: number;
  reasoningIndex: number;
}

function explodePart(content: ContentPart, numbers: PartNumbers, events: ChatEvent[]): void {
  const { part } = content;
  const choiceIndex = numbers.choiceIndex;
  switch (part.case) {
    case "text":
      events.push({
        case: "textDelta",
        value: { $typeName: "weir.v1.TextDelta", choiceIndex, text: part.value.text },
      });
      for (const citation of part.value.citations) {
        events.push({
          case: "citationAdded",
          value: { $typeName: "weir.v1.CitationAdded", choiceIndex, citation },
        });
      }
      return;
    case "reasoning": {
      const { text, signature, redacted } = part.value;
      const reasoningIndex = numbers.reasoningIndex++;
      events.push({
        case: "reasoningDelta",
        value: {
          $typeName: "weir.v1.ReasoningDelta",
          choiceIndex,
          text,
          signature,
          redacted,
          reasoningIndex,
        },
      });
      return;
    }
    case "toolCall":
      explodeToolCall(part.value, choiceIndex, numbers.toolCallIndex++, events);
      return;
    case "refusal":
      events.push({
        case: "refusalDelta",
        value: { $typeName: "weir.v1.RefusalDelta", choiceIndex, text: part.value.text },
      });
      return;
    case "audio":
      events.push({ case: "audioDelta", value: explodeAudio(part.value, choiceIndex) });
      return;
    case "vendor":
      events.push(createVendorPart(choiceIndex, part.value.dialect, part.value.json));
      return;
    case undefined:
      return;
    default: {
      const json = toJsonString(ContentPartSchema, create(ContentPartSchema, { part }));
      events.push(createVendorPart(choiceIndex, OWN_PART_DIALECT, json));
    }
  }
}

type PartOf<Case extends ContentPart["part"]["case"]> = Extract<
  ContentPart["part"],
  { case: Case; value: unknown }
>["value"];

function explodeToolCall(
  call: PartOf<"toolCall">,
  choiceIndex: number,
  toolCallIndex: number,
  events: ChatEvent[],
): void {
  const { id, name, custom, signature } = call;
  events.push({
    case: "toolCallStarted",
    value: {
      $typeName: "weir.v1.ToolCallStarted",
      choiceIndex,
      toolCallIndex,
      id,
      name,
      custom,
      signature,
    },
  });
  if (call.arguments !== "") {
    events.push({
      case: "toolCallArgumentsDelta",
      value: {
        $typeName: "weir.v1.ToolCallArgumentsDelta",
        choiceIndex,
        toolCallIndex,
        arguments: call.arguments,
      },
    });
  }
  events.push({
    case: "toolCallDone",
    value: { $typeName: "weir.v1.ToolCallDone", choiceIndex, toolCallIndex },
  });
}

type AudioDeltaValue = Extract<ChatEvent, { case: "audioDelta" }>["value"];

function explodeAudio(audio: PartOf<"audio">, choiceIndex: number): AudioDeltaValue {
  const source = audio.blob?.source;
  const delta: AudioDeltaValue = {
    $typeName: "weir.v1.AudioDelta",
    choiceIndex,
    id: audio.id,
    data: source?.case === "data" ? source.value : new Uint8Array(0),
    transcript: audio.transcript,
  };
  if (audio.expireTime !== undefined) delta.expireTime = audio.expireTime;
  return delta;
}

function createVendorPart(choiceIndex: number, dialect: string, json: string): ChatEvent {
  return {
    case: "vendorPartAdded",
    value: {
      $typeName: "weir.v1.VendorPartAdded",
      choiceIndex,
      part: { $typeName: "weir.v1.VendorPart", dialect, json },
    },
  };
}
