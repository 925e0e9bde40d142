import { describe, expect, it } from "vitest";
import type { DoorName } from "../mesh/call.ts";
import type { RateStates } from "../mesh/quota.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { addLimitFields, formatSpan, limitFieldNames } from "./limit-fields.ts";
import { openCall } from "./open-call.ts";

const clock = new VirtualClock();

function openTestCall(door: DoorName, rates?: RateStates) {
  const call = openCall({ door, credential: undefined, timeoutMs: undefined }, clock);
  if (rates !== undefined) {
    const reserve = () => {
      throw new Error("Nothing is reserved here.");
    };
    call.trail.quota = { reserve, end: () => {}, rates: () => rates };
  }
  return call;
}

function listFields(call: ReturnType<typeof openTestCall>): Record<string, string> {
  const fields: string[] = [];
  addLimitFields(fields, call, clock);
  const named: Record<string, string> = {};
  for (let at = 0; at < fields.length; at += 2) named[fields[at] ?? ""] = fields[at + 1] ?? "";
  return named;
}

const requests = { limit: 20, remaining: 7, resetMs: 361_000 };
const tokens = { limit: 4000, remaining: 0, resetMs: 120 };

describe("addLimitFields()", () => {
  it("adds nothing where nothing limits the call", () => {
    expect(listFields(openTestCall("openai"))).toEqual({});
    expect(listFields(openTestCall("openai", { requests: undefined, tokens: undefined }))).toEqual(
      {},
    );
  });

  it("names the policies that changed the call, each once", () => {
    const call = openTestCall("grpc");
    call.trail.clampedBy = "policies/a";
    call.trail.downgradedBy = "policies/b";
    call.trail.unprovenBy.push("policies/c", "policies/d", "policies/c");
    expect(listFields(call)).toEqual({
      "x-weir-quota-clamped": "policies/a",
      "x-weir-downgraded-by": "policies/b",
      "x-weir-quota-unproven": "policies/c, policies/d",
    });
  });

  it("tells rates in OpenAI's words, and lets scripts read all of it", () => {
    const fields = listFields(openTestCall("openai", { requests, tokens }));
    expect(fields).toEqual({
      "x-ratelimit-limit-requests": "20",
      "x-ratelimit-remaining-requests": "7",
      "x-ratelimit-reset-requests": "6m1s",
      "x-ratelimit-limit-tokens": "4000",
      "x-ratelimit-remaining-tokens": "0",
      "x-ratelimit-reset-tokens": "120ms",
    });
    for (const name in fields) expect(limitFieldNames).toContain(name);
  });

  it("tells rates in Anthropic's words to its clients", () => {
    const fields = listFields(openTestCall("anthropic", { requests, tokens: undefined }));
    const reset = fields["anthropic-ratelimit-requests-reset"] ?? "";
    expect(fields).toMatchObject({
      "anthropic-ratelimit-requests-limit": "20",
      "anthropic-ratelimit-requests-remaining": "7",
    });
    expect(reset).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    const early = Date.parse(reset) - clock.wallMs() - 361_000;
    expect(early).toBeGreaterThanOrEqual(0);
    expect(early).toBeLessThan(1000);
  });
});

describe("formatSpan()", () => {
  const spans: Array<[number, string]> = [
    [0, "0s"],
    [0.2, "1ms"],
    [999, "999ms"],
    [1000, "1s"],
    [8640, "8.64s"],
    [59_999, "59.999s"],
    [60_000, "1m0s"],
    [360_001, "6m1s"],
    [3_600_000, "1h0m0s"],
    [90_061_000, "25h1m1s"],
  ];
  for (const [ms, text] of spans) {
    it(`writes ${ms} ms as ${text}`, () => expect(formatSpan(ms)).toBe(text));
  }
});
