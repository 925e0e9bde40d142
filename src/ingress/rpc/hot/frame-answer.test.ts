import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FinishReason, Role } from "../../../../gen/weir/v1/chat_pb.ts";
import {
  CreateChatResponseSchema,
  StreamChatResponseSchema,
} from "../../../../gen/weir/v1/chat_service_pb.ts";
import { EmbedResponseSchema } from "../../../../gen/weir/v1/embed_service_pb.ts";
import { anyText, arbitraryMessage } from "./arbitrary-message.ts";
import { frameChatAnswer, frameVectors } from "./frame-answer.ts";
import { frameEvents } from "./frame-events.ts";

function frameGenerically<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): Buffer {
  const body = toBinary(schema, message);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}

const unknown = [{ no: 99, wireType: 0, data: new Uint8Array([1]) }];

describe("frameChatAnswer()", () => {
  it("writes any answer as the generic encoder does", () => {
    const answers = arbitraryMessage(CreateChatResponseSchema);
    fc.assert(
      fc.property(answers, (answer) => {
        const generic = frameGenerically(CreateChatResponseSchema, answer);
        expect(frameChatAnswer(answer).equals(generic)).toBe(true);
      }),
    );
  });

  it("writes the answers that are usual as the generic encoder does", () => {
    const answers = fc.array(anyText, { maxLength: 3 }).map((texts) =>
      create(CreateChatResponseSchema, {
        choices: texts.map((text, index) => ({
          index,
          message: {
            role: Role.ASSISTANT,
            parts: [{ part: { case: "text" as const, value: { text } } }],
          },
          finish: { reason: FinishReason.STOP, raw: "stop" },
        })),
        usage: { inputTokens: 300, outputTokens: 17 },
        cost: { costNanoUsd: 123_456_789_012n, known: true },
        createTime: { seconds: 1_800_000_000n },
      }),
    );
    fc.assert(
      fc.property(answers, (answer) => {
        const generic = frameGenerically(CreateChatResponseSchema, answer);
        expect(frameChatAnswer(answer).equals(generic)).toBe(true);
      }),
    );
  });

  it("keeps fields that it does not know", () => {
    const answer = create(CreateChatResponseSchema, { choices: [{ message: { role: 4 } }] });
    for (const message of [answer, answer.choices[0], answer.choices[0]?.message]) {
      if (message === undefined) throw new Error("the answer is not what it was made of");
      message.$unknown = unknown;
      const generic = frameGenerically(CreateChatResponseSchema, answer);
      expect(frameChatAnswer(answer).equals(generic)).toBe(true);
      delete message.$unknown;
    }
  });

  it("refuses what the generic encoder refuses, and leaves nothing of it behind", () => {
    const wrong = create(CreateChatResponseSchema, {
      upstreamModelVersion: "secret",
      choices: [{ index: 1.5 }],
    });
    expect(() => frameChatAnswer(wrong)).toThrow();
    expect(frameChatAnswer(create(CreateChatResponseSchema)).toString("hex")).toBe("0000000000");
  });

  it("writes texts of several megabytes whole, and small ones after them", () => {
    for (const text of ["語".repeat(1_500_000), "small", "a".repeat(3_000_000)]) {
      const answer = create(CreateChatResponseSchema, {
        choices: [{ message: { parts: [{ part: { case: "text", value: { text } } }] } }],
      });
      const generic = frameGenerically(CreateChatResponseSchema, answer);
      expect(frameChatAnswer(answer).equals(generic)).toBe(true);
    }
  });
});

describe("frameVectors()", () => {
  it("writes any vectors as the generic encoder does", () => {
    fc.assert(
      fc.property(arbitraryMessage(EmbedResponseSchema), (answer) => {
        const generic = frameGenerically(EmbedResponseSchema, answer);
        expect(frameVectors(answer).equals(generic)).toBe(true);
      }),
    );
  });

  it("writes numbers at the ends of what a float holds as the generic encoder does", () => {
    const ends = [0, -0, 1.5, 3.4028234663852886e38, 3.402823466385289e38, 1e-50, Number.NaN];
    for (const value of [...ends, Number.POSITIVE_INFINITY]) {
      const answer = create(EmbedResponseSchema, { embeddings: [{ values: [value, -value] }] });
      const generic = frameGenerically(EmbedResponseSchema, answer);
      expect(frameVectors(answer).equals(generic)).toBe(true);
    }
  });

  it("refuses a number that no float can hold", () => {
    const answer = create(EmbedResponseSchema, { embeddings: [{ values: [1e39] }] });
    expect(() => frameVectors(answer)).toThrow(/float/);
  });
});

describe("frameEvents(), for any events", () => {
  it("writes them as the generic encoder does", () => {
    const lists = fc.array(arbitraryMessage(StreamChatResponseSchema), { maxLength: 4 });
    fc.assert(
      fc.property(lists, (list) => {
        const events = list.map(({ event }) => event).filter((event) => event.case !== undefined);
        const $typeName = "weir.v1.StreamChatResponse";
        const frames = events.map((event) =>
          frameGenerically(StreamChatResponseSchema, { $typeName, event }),
        );
        expect(frameEvents(events).equals(Buffer.concat(frames))).toBe(true);
      }),
    );
  });
});
