import { describe, expect, it } from "vitest";
import { findTraits } from "./models.ts";

describe("findTraits()", () => {
  const old = [
    ...["claude-3-5-sonnet-20241022", "claude-3-7-sonnet-latest", "claude-sonnet-4-20250514"],
    ...["claude-opus-4-1", "claude-haiku-4-5-20251001", "claude-sonnet-4-5", "kimi-k2", "glm-4.6"],
  ];
  for (const model of old) {
    it(`thinks by a budget in ${model}`, () => {
      const traits = { adaptive: false, budget: true, sampling: true, systemTurns: false };
      expect(findTraits(model)).toEqual(traits);
    });
  }

  for (const model of ["claude-opus-4-6", "anthropic/claude-sonnet-4.6"]) {
    it(`thinks either way in ${model}`, () => {
      expect(findTraits(model)).toMatchObject({ adaptive: true, budget: true, sampling: true });
    });
  }

  it("takes no sampling from 4.7 on, and system turns from 4.8 on", () => {
    expect(findTraits("claude-opus-4-7")).toMatchObject({ sampling: false, systemTurns: false });
    expect(findTraits("claude-opus-4-8")).toMatchObject({ sampling: false, systemTurns: true });
  });

  for (const model of [
    "claude-opus-5",
    "claude-haiku-5-5",
    "claude-fable-5",
    "claude-mythos-preview",
  ]) {
    it(`thinks only adaptively in ${model}`, () => {
      expect(findTraits(model)).toMatchObject({ adaptive: true, budget: false, systemTurns: true });
    });
  }
});
