import { describe, expect, it } from "vitest";
import { askOpenai, createAttempt, createTarget } from "./trial.fixture.ts";
import { createUpstreams } from "./upstream-by-dialect.ts";

describe("createUpstreams()", () => {
  it("goes the way that the provider's dialect demands", async () => {
    const way = (tokens: number) => ({
      chat: () => Promise.reject(new Error("unused")),
      embed: () => Promise.reject(new Error("unused")),
      countTokens: () => Promise.resolve(tokens),
    });
    const upstream = createUpstreams({ openai: way(1), anthropic: way(2), sim: way(3) });
    for (const [dialect, tokens] of [
      ["openai", 1],
      ["anthropic", 2],
      ["sim", 3],
    ] as const) {
      const target = createTarget("http://127.0.0.1:1", { provider: { dialect } });
      expect(await upstream.countTokens(target, askOpenai(), createAttempt())).toBe(tokens);
    }
  });
});
