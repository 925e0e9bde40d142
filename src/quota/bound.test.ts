import { describe, expect, it } from "vitest";
import { createBoundedAsk, createTestLimit } from "../../test/support/quota-house.ts";
import { createTestProvider, createTestTarget } from "../../test/support/targets.ts";
import type { AskBounds } from "../mesh/ask.ts";
import type { Target } from "../mesh/target.ts";
import { boundAmount } from "./amount.ts";
import { boundAsk, OUTPUT_TOKENS_DEFAULT } from "./bound.ts";

function boundOf(
  bytes: number,
  bounds: Partial<AskBounds>,
  target: Partial<Target> = {},
  context?: number,
) {
  const all = { ...zero, outputTokensMax: 100, ...bounds };
  return boundAsk(createBoundedAsk(bytes, all), all, createTestTarget(target), context);
}

describe("the output limit", () => {
  const cases: readonly (readonly [number | undefined, number | undefined, number])[] = [
    [undefined, undefined, OUTPUT_TOKENS_DEFAULT],
    [undefined, 4_096, 4_096],
    [0, 4_096, 4_096],
    [-1, 4_096, 4_096],
    [100, 4_096, 100],
    [1_000_000_000, 4_096, 4_096],
    [1_000_000_000, undefined, 1_000_000_000],
    [100.7, undefined, 100],
    [0.5, 4_096, 4_096],
    [0.5, undefined, OUTPUT_TOKENS_DEFAULT],
    [Number.POSITIVE_INFINITY, undefined, 2_147_483_647],
  ];
  for (const [asked, most, expected] of cases) {
    it(`is ${expected} where ${asked} is asked of a model that writes up to ${most}`, () => {
      expect(boundOf(10, { outputTokensMax: asked }, { outputTokensMax: most }).output).toBe(
        expected,
      );
    });
  }

  it("counts for each of a hundred answers", () => {
    const bound = boundOf(36, { choices: 100 });
    const tokens = createTestLimit({ unit: "tokens" });
    expect(boundAmount(tokens, createTestTarget(), bound, bound.output)).toBe(100 + 100 * 100);
  });

  for (const choices of [1e9, 1e308, Number.POSITIVE_INFINITY]) {
    for (const outputTokensMax of [0, 1e9, Number.POSITIVE_INFINITY]) {
      it(`is a number, also for ${choices} answers of ${outputTokensMax} tokens`, () => {
        const bound = boundOf(36, { choices, outputTokensMax });
        for (const unit of ["nano_usd", "tokens", "output_tokens"] as const) {
          const limit = createTestLimit({ unit });
          const amount = boundAmount(limit, createTestTarget(), bound, bound.output);
          expect(amount).toSatisfy(Number.isSafeInteger);
        }
      });
    }
  }

  it("counts the answers that a target's overrides ask for", () => {
    expect(boundOf(36, {}, { overrides: { n: 4 } }).choices).toBe(4);
  });
});

const zero: AskBounds = {
  outputTokensMax: undefined,
  choices: 1,
  images: 0,
  audioBytes: 0,
  files: 0,
  fileBytes: 0,
  encodedBytes: 0,
};

describe("the input bound", () => {
  it("is one token a byte, and some for what vendors add", () => {
    expect(boundOf(1_000, {}).input).toBe(1_064);
  });

  it("counts encoded media by their rules and not by their bytes", () => {
    const anthropic = { provider: createTestProvider("providers/a", "anthropic") };
    const bounds = { images: 2, encodedBytes: 900_000 };
    expect(boundOf(901_000, bounds, anthropic).input).toBe(1_064 + 2 * 5_000);
  });

  it("knows that some models count a picture many times", () => {
    const images = (upstreamModel: string) => boundOf(0, { images: 1 }, { upstreamModel }).input;
    expect(images("gpt-4o-mini-2024-07-18")).toBeGreaterThan(2_833 + 8 * 5_667);
    expect(images("openai/gpt-4o")).toBeLessThan(3_000);
    expect(images("openai/gpt-4o")).toBeGreaterThan(85 + 8 * 170);
    expect(images("gpt-4.1-nano")).toBeGreaterThan(1_536 * 2.46);
    expect(images("some/vision-model")).toBeGreaterThan(16_384);
  });

  it("grows with sound and documents", () => {
    // Ten seconds of 16 kHz sound are 320 tokens where most are made of it.
    expect(boundOf(0, { audioBytes: 320_000 }).input).toBeGreaterThan(320);
    expect(boundOf(0, { files: 1, fileBytes: 1_000 }).input).toBeGreaterThan(8_000);
  });

  it("is never beyond the model's context", () => {
    expect(boundOf(10_000_000, { files: 3 }, {}, 128_000).input).toBe(128_000);
  });

  it("counts what the target lays over the body", () => {
    const overrides = { metadata: { note: "x".repeat(500) } };
    expect(boundOf(100, {}, { overrides }).input).toBeGreaterThan(600);
  });
});
