import { describe, expect, it } from "vitest";
import { RequestRecord_Kind } from "../../gen/weir/admin/v1/record_pb.ts";
import { FinishReason } from "../../gen/weir/v1/chat_pb.ts";
import { createTestAsk, createTestCall, createTestPrincipal } from "../../test/support/calls.ts";
import { MeshError } from "./errors.ts";
import { createRecord } from "./record.ts";
import { VirtualClock } from "./virtual-clock.ts";

const megabyte = "x".repeat(1024 * 1024);

describe("createRecord()", () => {
  it("keeps little of what callers and vendors write, however long it is", () => {
    const clock = new VirtualClock();
    const call = createTestCall(clock);
    call.trail.finish = {
      $typeName: "weir.v1.Finish",
      reason: FinishReason.OTHER,
      raw: megabyte,
      stopSequence: "",
    };
    const record = createRecord({
      kind: RequestRecord_Kind.CHAT,
      call,
      ask: {
        ...createTestAsk("hi", { model: megabyte }),
        model: megabyte,
        endUser: megabyte,
        sessionId: megabyte,
      },
      principal: createTestPrincipal(),
      revision: 1,
      error: new MeshError("UPSTREAM_REFUSED", megabyte),
      clock,
    });
    const { modelAsked, endUser, sessionId, errorMessage, rawFinishReason } = record;
    for (const text of [modelAsked, endUser, sessionId, errorMessage, rawFinishReason]) {
      expect(text.length).toBeGreaterThan(0);
      expect(text.length).toBeLessThan(5_000);
    }
  });
});
