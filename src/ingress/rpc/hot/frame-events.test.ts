import { fromBinary, toBinary, type UnknownField } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StreamChatResponseSchema } from "../../../../gen/weir/v1/chat_service_pb.ts";
import { anyText } from "../../../../test/support/any-text.ts";
import type { ChatEvent } from "../../../mesh/chunk.ts";
import { frameEvents } from "./frame-events.ts";

const index = fc.oneof(
  fc.constant(0),
  fc.nat(300),
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
);
// Any UTF-16 at all, lone surrogates included, and texts beside the lengths at which the form of
// the length changes.
const text = fc.oneof(
  anyText(),
  fc.string({ unit: "binary-ascii", maxLength: 60 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 40 }).map(fromUnits),
  fc
    .tuple(fc.constantFrom("a", "é", "語", "😀"), fc.constantFrom(31, 32, 127, 128, 16_383))
    .map(([letter, times]) => letter.repeat(times)),
);
const unknown = fc.constantFrom<UnknownField[] | undefined>(undefined, undefined, undefined, [
  { no: 99, wireType: 0, data: new Uint8Array([1]) },
]);

const events: fc.Arbitrary<ChatEvent> = fc.oneof(
  fc.record({
    case: fc.constant("textDelta" as const),
    value: fc
      .record({ choiceIndex: index, text, $unknown: unknown })
      .map((value) => ({ $typeName: "weir.v1.TextDelta" as const, ...value })),
  }),
  fc.record({
    case: fc.constant("reasoningDelta" as const),
    value: fc
      .record({
        choiceIndex: index,
        text,
        signature: text,
        redacted: text,
        reasoningIndex: index,
        $unknown: unknown,
      })
      .map((value) => ({ $typeName: "weir.v1.ReasoningDelta" as const, ...value })),
  }),
  fc.record({
    case: fc.constant("toolCallArgumentsDelta" as const),
    value: fc
      .record({ choiceIndex: index, toolCallIndex: index, arguments: text, $unknown: unknown })
      .map((value) => ({ $typeName: "weir.v1.ToolCallArgumentsDelta" as const, ...value })),
  }),
  fc.record({
    case: fc.constant("toolCallDone" as const),
    value: fc
      .record({ choiceIndex: index, toolCallIndex: index })
      .map((value) => ({ $typeName: "weir.v1.ToolCallDone" as const, ...value })),
  }),
);

describe("frameEvents()", () => {
  it("writes each event as the generic encoder does", () => {
    fc.assert(
      fc.property(fc.array(events, { maxLength: 8 }), (list) => {
        expect(frameEvents(list).equals(frameGenerically(list))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it("puts what was held back in front", () => {
    const before = Buffer.from("held");
    const frames = frameEvents([], before);
    expect(frames.toString()).toBe("held");
  });

  it("writes an event of several megabytes whole, and small ones after it", () => {
    const huge = "語".repeat(1_500_000);
    for (const words of [huge, "small"]) {
      const event: ChatEvent = {
        case: "textDelta",
        value: { $typeName: "weir.v1.TextDelta", choiceIndex: 3, text: words },
      };
      const read = fromBinary(StreamChatResponseSchema, frameEvents([event]).subarray(5));
      expect(read.event.case === "textDelta" && read.event.value.text === words).toBe(true);
    }
  });
});

function fromUnits(units: readonly number[]): string {
  return String.fromCharCode(...units);
}

function frameGenerically(list: readonly ChatEvent[]): Buffer {
  return Buffer.concat(
    list.flatMap((event) => {
      const message = toBinary(StreamChatResponseSchema, {
        $typeName: "weir.v1.StreamChatResponse",
        event,
      });
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(message.length, 1);
      return [prefix, message];
    }),
  );
}
