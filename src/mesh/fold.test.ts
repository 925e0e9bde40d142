import { create, equals, toJson } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FinishReason, Role } from "../../gen/weir/v1/chat_pb.ts";
import {
  type CreateChatResponse,
  CreateChatResponseSchema,
} from "../../gen/weir/v1/chat_service_pb.ts";
import type { ChatEvent } from "./chunk.ts";
import { AnswerFold, explodeAnswer } from "./fold.ts";

function fold(events: readonly ChatEvent[]): CreateChatResponse {
  const answer = new AnswerFold();
  for (const event of events) answer.add(event);
  return answer.response();
}

function text(choiceIndex: number, words: string): ChatEvent {
  return { case: "textDelta", value: { $typeName: "weir.v1.TextDelta", choiceIndex, text: words } };
}

function reasoning(reasoningIndex: number, words: string, signature = ""): ChatEvent {
  return {
    case: "reasoningDelta",
    value: {
      $typeName: "weir.v1.ReasoningDelta",
      choiceIndex: 0,
      text: words,
      signature,
      redacted: "",
      reasoningIndex,
    },
  };
}

/**
 * Answers as vendors give them: texts are never empty, and two texts never follow each other
 * without a citation.
 */
const answers = fc
  .record({
    parts: fc.array(
      fc.oneof(
        fc.record({
          case: fc.constant("text" as const),
          value: fc.record({
            text: fc.string({ minLength: 1 }),
            citations: fc.array(fc.record({ uri: fc.webUrl(), startIndex: fc.nat() })),
          }),
        }),
        fc.record({
          case: fc.constant("reasoning" as const),
          value: fc.record({ text: fc.string(), signature: fc.string(), redacted: fc.string() }),
        }),
        fc.record({
          case: fc.constant("toolCall" as const),
          value: fc.record({
            id: fc.string(),
            name: fc.string(),
            arguments: fc.string(),
            custom: fc.boolean(),
            signature: fc.string(),
          }),
        }),
        fc.record({
          case: fc.constant("vendor" as const),
          value: fc.record({ dialect: fc.constant("anthropic"), json: fc.string() }),
        }),
        fc.record({
          case: fc.constant("image" as const),
          value: fc.record({
            blob: fc.record({
              source: fc.record({
                case: fc.constant("data" as const),
                value: fc.uint8Array({ minLength: 1, maxLength: 8 }),
              }),
            }),
          }),
        }),
      ),
      { maxLength: 6 },
    ),
    audio: fc.option(
      fc.record({
        data: fc.uint8Array({ minLength: 1 }),
        id: fc.string(),
        transcript: fc.string(),
      }),
    ),
    refusal: fc.option(fc.string({ minLength: 1 })),
    logprobs: fc.array(fc.record({ token: fc.string(), logprob: fc.constantFrom(-1.5, 0) })),
    raw: fc.option(fc.string()),
  })
  .map(({ parts, audio, refusal, logprobs, raw }) => {
    const kept: typeof parts = [];
    for (const part of parts) {
      const before = kept.at(-1);
      const wouldMerge =
        part.case === "text" && before?.case === "text" && before.value.citations.length === 0;
      if (!wouldMerge) kept.push(part);
    }
    return {
      message: {
        role: Role.ASSISTANT,
        parts: [
          ...kept.map((part) => ({ part })),
          ...(audio === null
            ? []
            : [
                {
                  part: {
                    case: "audio" as const,
                    value: {
                      blob: { source: { case: "data" as const, value: audio.data } },
                      id: audio.id,
                      transcript: audio.transcript,
                    },
                  },
                },
              ]),
          ...(refusal === null
            ? []
            : [{ part: { case: "refusal" as const, value: { text: refusal } } }]),
        ],
      },
      logprobs: logprobs.map((chosen) => ({ chosen })),
      ...(raw === null ? {} : { finish: { reason: FinishReason.STOP, raw } }),
    };
  });

describe("AnswerFold", () => {
  it("folds what explodeAnswer() made back into the same answer", () => {
    fc.assert(
      fc.property(fc.array(answers, { maxLength: 3 }), (choices) => {
        const response = create(CreateChatResponseSchema, {
          choices: choices.map((choice, index) => ({ ...choice, index })),
        });
        // Choices that say nothing at all leave no event.
        while (explodeAnswer({ ...response, choices: response.choices.slice(-1) }).length === 0) {
          if (response.choices.pop() === undefined) break;
        }
        const folded = fold(explodeAnswer(response));
        if (!equals(CreateChatResponseSchema, folded, response)) {
          expect(toJson(CreateChatResponseSchema, folded)).toEqual(
            toJson(CreateChatResponseSchema, response),
          );
          throw new Error("the answers differ where JSON shows nothing");
        }
      }),
    );
  });

  it("keeps interleaved thoughts and text as one part each", () => {
    const response = fold([reasoning(0, "a"), text(0, "x"), reasoning(0, "b", "s"), text(0, "y")]);
    const parts = response.choices[0]?.message?.parts.map(({ part }) => part);
    expect(parts).toMatchObject([
      { case: "reasoning", value: { text: "ab", signature: "s" } },
      { case: "text", value: { text: "xy" } },
    ]);
  });

  it("starts a new thought at a new number", () => {
    const response = fold([reasoning(0, "a"), reasoning(1, "b")]);
    expect(response.choices[0]?.message?.parts).toHaveLength(2);
  });

  it("keeps answers apart that come interleaved and out of order", () => {
    const response = fold([text(1, "b"), text(0, "a"), text(1, "b")]);
    const texts = response.choices.map((choice) => choice.message?.parts[0]?.part.value);
    expect(texts).toMatchObject([{ text: "a" }, { text: "bb" }]);
  });

  for (const index of [-1, 5000, Number.NaN]) {
    it(`refuses answer number ${index}`, () => {
      expect(() => fold([text(index, "a")])).toThrow("numbered");
    });
  }
});
