import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../mesh/json.ts";
import { createUsage } from "../../mesh/usage.ts";
import { mapUsage, mergeCounts, readUsage, writeUsage } from "./usage.ts";

describe("mapUsage()", () => {
  it("gives back what writeUsage() wrote", () => {
    const tokens = fc.nat(1_000_000);
    const counts = fc.record({
      inputTokens: tokens,
      cacheReadTokens: tokens,
      cacheWriteTokens: tokens,
      cacheWrite1hTokens: tokens,
      outputTokens: tokens,
      reasoningTokens: tokens,
      vendorToolCalls: fc.dictionary(
        fc.constantFrom("web_search", "web_fetch"),
        fc.nat(9).map((n) => n + 1),
      ),
    });
    fc.assert(
      fc.property(counts, (each) => {
        const usage = createUsage(each);
        const again = mapUsage(writeUsage(usage));
        expect({ ...again, vendorToolCalls: { ...again.vendorToolCalls } }).toEqual({
          ...usage,
          vendorToolCalls: { ...usage.vendorToolCalls },
        });
      }),
    );
  });

  it("counts an unbroken cache write as one for five minutes", () => {
    expect(mapUsage({ input_tokens: 1, cache_creation_input_tokens: 5 })).toMatchObject({
      inputTokens: 1,
      cacheWriteTokens: 5,
      cacheWrite1hTokens: 0,
    });
  });

  it("counts a hundred searches and no fetch", () => {
    const tools = { web_search_requests: 100, web_fetch_requests: 0 };
    expect(mapUsage({ server_tool_use: tools }).vendorToolCalls).toEqual({ web_search: 100 });
  });

  for (const bad of [{}, { input_tokens: null }, { input_tokens: "5" }, { input_tokens: -5 }]) {
    it(`counts nothing in ${JSON.stringify(bad)}`, () => {
      expect(mapUsage(bad)).toEqual(createUsage());
    });
  }
});

describe("readUsage()", () => {
  const lies: JsonObject[] = [
    ...[{}, { input_tokens: 5 }, { output_tokens: 5 }, { input_tokens: null, output_tokens: 5 }],
    { input_tokens: -5, output_tokens: -1 },
    { input_tokens: "5", output_tokens: "1" },
    { input_tokens: 2 ** 53, output_tokens: 1 },
  ];
  for (const lie of lies) {
    it(`takes ${JSON.stringify(lie)} for no count, rather than for a gift`, () => {
      expect(readUsage(lie)).toBeUndefined();
    });
  }

  it("takes zeros for a count", () => {
    expect(readUsage({ input_tokens: 0, output_tokens: 0 })).toEqual(createUsage());
  });
});

describe("mergeCounts()", () => {
  it("takes a later zero and no later null", () => {
    const merged = mergeCounts({ a: 5, b: 5, c: 5 }, { a: 0, b: null });
    expect(merged).toEqual({ a: 0, b: 5, c: 5 });
  });
});
