import { describe, expect, it } from "vitest";
import { createBoundedAsk } from "../../test/support/quota-house.ts";
import { createTestProvider, createTestTarget } from "../../test/support/targets.ts";
import type { JsonObject } from "../mesh/json.ts";
import { showsAll } from "./shows-all.ts";

const provider = createTestProvider("providers/o", "openai");

function shows(upstreamModel: string, capabilities?: string[]): boolean {
  const known = capabilities === undefined ? undefined : new Set(capabilities);
  const target = createTestTarget({ provider, upstreamModel, capabilities: known });
  return showsAll(createBoundedAsk(10), 1, target);
}

describe("models of which all is seen that is billed", () => {
  for (const name of ["gpt-4o-mini", "openai/gpt-4.1", "claude-sonnet-4-5", "llama-3.3-70b"]) {
    it(`are ${name}, also where nobody says so`, () => {
      expect(shows(name)).toBe(true);
    });
  }

  it("are others that are said not to think", () => {
    expect(shows("house-model", ["chat"])).toBe(true);
    expect(shows("house-model", ["chat", "reasoning"])).toBe(false);
    expect(shows("house-model")).toBe(false);
  });

  const thinkers = ["o3", "openai/o4-mini", "gpt-5-mini", "gpt-5.1", "gemini-2.5-flash", "grok-4"];
  thinkers.push("deepseek-r1", "DeepSeek-R1-Distill", "kimi-k2-thinking", "gpt-oss-120b");
  for (const name of thinkers) {
    it(`are not ${name}, whatever is said of them`, () => {
      expect(shows(name, ["chat"])).toBe(false);
    });
  }
});

describe("requests of which all is seen that is billed", () => {
  const read = (wire: JsonObject, overrides?: JsonObject) =>
    showsAll(
      { ...createBoundedAsk(10), dialect: "openai", wire },
      1,
      createTestTarget({ provider, upstreamModel: "claude-sonnet-4-5", overrides }),
    );

  it("are plain ones", () => {
    expect(read({ tools: [{ type: "function" }], thinking: { type: "disabled" }, n: 1 })).toBe(
      true,
    );
  });

  const hidden: JsonObject[] = [
    { thinking: { type: "enabled", budget_tokens: 1_024 } },
    { thinking: { type: "adaptive" } },
    { reasoning_effort: "low" },
    { reasoning: {} },
    { prediction: { type: "content", content: "x" } },
    { best_of: 4 },
    { n: 2 },
    { tools: [{ type: "web_search_20250305", name: "web_search" }] },
    { mcp_servers: [] },
    { web_search_options: {} },
  ];
  for (const wire of hidden) {
    it(`are not those with ${JSON.stringify(wire)}, asked or laid over`, () => {
      expect(read(wire)).toBe(false);
      expect(read({}, wire)).toBe(false);
    });
  }

  it("are not typed ones that ask for reasoning, or say what is not looked into", () => {
    const target = createTestTarget({ provider, upstreamModel: "gpt-4o" });
    for (const name of ["reasoning", "provider_options"]) {
      const ask = { ...createBoundedAsk(10), parameters: () => [name] };
      expect(showsAll(ask, 1, target)).toBe(false);
    }
  });
});
