import { toJsonString } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StreamChatResponseSchema } from "../../../../gen/weir/v1/chat_service_pb.ts";
import type { ChatEvent } from "../../../mesh/chunk.ts";
import { anyText, arbitraryMessage } from "./arbitrary-message.ts";
import { frameJson, frameJsonEvents } from "./frame-json.ts";

const textDeltas = fc.tuple(fc.nat(2), anyText).map(([choiceIndex, text]): ChatEvent => {
  return { case: "textDelta", value: { $typeName: "weir.v1.TextDelta", choiceIndex, text } };
});
const events = fc.oneof(
  textDeltas,
  arbitraryMessage(StreamChatResponseSchema).map(({ event }) => event),
);

/** Undefined for what has no JSON form. */
function frameGenerically(event: ChatEvent): Buffer | undefined {
  const $typeName = "weir.v1.StreamChatResponse";
  try {
    return frameJson(0, toJsonString(StreamChatResponseSchema, { $typeName, event }));
  } catch {
    return undefined;
  }
}

describe("frameJsonEvents()", () => {
  it("writes each event as the generic encoder does", () => {
    fc.assert(
      fc.property(fc.array(events, { maxLength: 4 }), fc.boolean(), (list, held) => {
        const sound: ChatEvent[] = [];
        const frames: Buffer[] = held ? [Buffer.from("held")] : [];
        for (const event of list) {
          const frame = event.case === undefined ? undefined : frameGenerically(event);
          if (event.case === undefined || frame === undefined) continue;
          sound.push(event);
          frames.push(frame);
        }
        const before = held ? Buffer.from("held") : undefined;
        expect(frameJsonEvents(sound, before).equals(Buffer.concat(frames))).toBe(true);
      }),
    );
  });
});

describe("frameJson()", () => {
  it("puts flags and length before a text, in bytes", () => {
    expect(frameJson(2, "é").toString("hex")).toBe("0200000002c3a9");
  });
});
