import { describe, expect, it } from "vitest";
import { withMemorySettings } from "./child-memory.js";

describe("withMemorySettings()", () => {
  it("leaves everything else as it is", () => {
    expect(withMemorySettings({ A: "1" })).toEqual({
      A: "1",
      NODE_OPTIONS: "--max-semi-space-size=8",
      MALLOC_ARENA_MAX: "1",
    });
  });

  it("lets what the operator says come after it, and over it", () => {
    const env = { NODE_OPTIONS: "--max-semi-space-size=64", MALLOC_ARENA_MAX: "4" };
    expect(withMemorySettings(env)).toEqual({
      NODE_OPTIONS: "--max-semi-space-size=8 --max-semi-space-size=64",
      MALLOC_ARENA_MAX: "4",
    });
  });
});
