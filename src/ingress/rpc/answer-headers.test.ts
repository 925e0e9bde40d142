import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { CacheState, DecisionSchema } from "../../../gen/weir/v1/chat_pb.ts";
import { CostSchema } from "../../../gen/weir/v1/usage_pb.ts";
import { VirtualClock } from "../../mesh/virtual-clock.ts";
import { openCall } from "../open-call.ts";
import { createAnswerHeaders } from "./answer-headers.ts";
import { TestHouse } from "./rpc-test-house.ts";

const clock = new VirtualClock();
const house = new TestHouse(clock);

function openTestCall() {
  return openCall({ door: "grpc", credential: undefined, timeoutMs: undefined }, clock);
}

describe("createAnswerHeaders()", () => {
  it("says who answered, from where and for how much", async () => {
    const call = openTestCall();
    await clock.advance(1.5);
    call.trail.upstreamStartedMs = clock.now();
    await clock.advance(100);
    const decision = create(DecisionSchema, {
      provider: "openai",
      upstreamModel: "gpt",
      attempts: 2,
      cache: CacheState.MISS,
      policyRevision: 9n,
    });
    const cost = create(CostSchema, { costNanoUsd: 2_500_000_000n, known: true });
    expect(createAnswerHeaders({ house, call, decision, cost })).toEqual({
      "x-request-id": call.requestId,
      "x-weir-overhead-us": "1500",
      "x-weir-attempts": "2",
      "x-weir-policy-revision": "9",
      "x-weir-cost-usd": "2.5",
      "x-weir-target": "openai/gpt",
      "x-weir-cache": "miss",
    });
  });

  it("says nothing of a hidden target nor of an unknown cost", () => {
    const call = openTestCall();
    const decision = create(DecisionSchema, {});
    const cost = create(CostSchema, { known: false });
    const names = Object.keys(createAnswerHeaders({ house, call, decision, cost }));
    expect(names).not.toContain("x-weir-target");
    expect(names).not.toContain("x-weir-cost-usd");
  });

  it("lets no name break out of its field", () => {
    const call = openTestCall();
    call.trail.warnings.push("left out\r\nset-cookie: a=b");
    const decision = create(DecisionSchema, { provider: "p", upstreamModel: "語\r\nx: y" });
    const headers = createAnswerHeaders({ house, call, decision, cost: undefined });
    for (const value of Object.values(headers)) expect(value).toMatch(/^[\x20-\x7e]*$/);
  });
});
