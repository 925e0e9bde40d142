import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonValue } from "../../mesh/json.ts";
import { createUsage, sumInputTokens, sumOutputTokens } from "../../mesh/usage.ts";
import { readUsage, writeUsage } from "./usage.ts";

describe("readUsage()", () => {
  const cases: Array<[string, JsonValue, ReturnType<typeof createUsage> | undefined]> = [
    ["nothing", null, undefined],
    ["an empty object", {}, undefined],
    ["a negative count", { prompt_tokens: -10, completion_tokens: -5 }, undefined],
    ["half a count", { prompt_tokens: 10, completion_tokens: "5" }, undefined],
    ["a count beyond all prompts", { prompt_tokens: 2 ** 53, completion_tokens: 5 }, undefined],
    [
      "an infinite count",
      { prompt_tokens: 7, completion_tokens: Number.POSITIVE_INFINITY },
      undefined,
    ],
    ["zeros", { prompt_tokens: 0, completion_tokens: 0 }, createUsage()],
    [
      "OpenAI's details",
      {
        prompt_tokens: 100,
        completion_tokens: 50,
        prompt_tokens_details: { cached_tokens: 60, audio_tokens: 10 },
        completion_tokens_details: { reasoning_tokens: 20, audio_tokens: 5 },
      },
      createUsage({
        inputTokens: 30,
        cacheReadTokens: 60,
        inputAudioTokens: 10,
        outputTokens: 25,
        reasoningTokens: 20,
        outputAudioTokens: 5,
      }),
    ],
    [
      "DeepSeek's cache",
      { prompt_tokens: 10, completion_tokens: 1, prompt_cache_hit_tokens: 8 },
      createUsage({ inputTokens: 2, cacheReadTokens: 8, outputTokens: 1 }),
    ],
    [
      "OpenRouter's cost and tools",
      {
        prompt_tokens: 1,
        completion_tokens: 1,
        cost: 0.00333825,
        server_tool_use_details: { web_search_requests: 2 },
      },
      createUsage({
        inputTokens: 1,
        outputTokens: 1,
        upstreamCostNanoUsd: 3_338_250n,
        vendorToolCalls: { web_search: 2 },
      }),
    ],
    [
      "a cost of zero",
      { prompt_tokens: 1, completion_tokens: 0, cost: 0 },
      createUsage({ inputTokens: 1, upstreamCostNanoUsd: 0n }),
    ],
    [
      "xAI's reasoning, counted beside the completion",
      {
        prompt_tokens: 10,
        completion_tokens: 30,
        total_tokens: 60,
        completion_tokens_details: { reasoning_tokens: 20 },
      },
      createUsage({ inputTokens: 10, outputTokens: 30, reasoningTokens: 20 }),
    ],
    [
      "the same tokens read from the cache and written into it",
      {
        prompt_tokens: 10,
        completion_tokens: 0,
        prompt_tokens_details: { cached_tokens: 8, cache_write_tokens: 8 },
      },
      createUsage({ cacheReadTokens: 8, cacheWriteTokens: 2 }),
    ],
    [
      "nonsense beside the counts",
      { prompt_tokens: 5, prompt_tokens_details: "x", cost: "free", server_tool_use: [] },
      createUsage({ inputTokens: 5 }),
    ],
    ["embeddings", { prompt_tokens: 7, total_tokens: 7 }, createUsage({ inputTokens: 7 })],
  ];
  for (const [what, wire, usage] of cases) {
    it(`reads ${what}`, () => {
      expect(readUsage(wire)).toEqual(usage);
    });
  }

  it("never counts below zero nor beyond what was told", () => {
    const count = fc.oneof(fc.integer(), fc.double(), fc.constant(null));
    const wire = fc.record({
      prompt_tokens: fc.nat(),
      completion_tokens: fc.nat(),
      prompt_tokens_details: fc.record({ cached_tokens: count, audio_tokens: count }),
      completion_tokens_details: fc.record({ reasoning_tokens: count, audio_tokens: count }),
    });
    fc.assert(
      fc.property(wire, (told) => {
        const usage = readUsage(told) ?? createUsage();
        for (const value of Object.values(usage)) {
          if (typeof value === "number") expect(value).toBeGreaterThanOrEqual(0);
        }
        expect(sumInputTokens(usage)).toBe(told.prompt_tokens);
      }),
    );
  });

  it("reads what writeUsage() writes", () => {
    const counts = fc.record({
      inputTokens: fc.nat(1e6),
      cacheReadTokens: fc.nat(1e6),
      inputAudioTokens: fc.nat(1e6),
      outputTokens: fc.integer({ min: 1, max: 1e6 }),
      reasoningTokens: fc.nat(1e6),
      outputAudioTokens: fc.nat(1e6),
    });
    fc.assert(
      fc.property(counts, (given) => {
        const usage = createUsage(given);
        const wire = writeUsage(usage, undefined);
        expect(readUsage(wire)).toEqual(usage);
        expect(wire.total_tokens).toBe(sumInputTokens(usage) + sumOutputTokens(usage));
      }),
    );
  });
});
