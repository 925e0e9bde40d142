import { toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChatSchema } from "../../../../gen/weir/v1/chat_pb.ts";
import { arbitraryMessage } from "./arbitrary-message.ts";
import { measureChat } from "./measure-request.ts";

describe("measureChat()", () => {
  it("knows how long any chat is", () => {
    fc.assert(
      fc.property(arbitraryMessage(ChatSchema), (chat) => {
        expect(measureChat(chat)).toBe(toBinary(ChatSchema, chat).length);
      }),
    );
  });
});
