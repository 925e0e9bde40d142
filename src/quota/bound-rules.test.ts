import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { EmbedRequestSchema } from "../../gen/weir/v1/embed_service_pb.ts";
import { createBoundedAsk } from "../../test/support/quota-house.ts";
import { createTestTarget } from "../../test/support/targets.ts";
import { createEmbedAsk } from "../dialects/typed-ask.ts";
import type { AskBounds, ChatAsk, EmbedAsk } from "../mesh/ask.ts";
import type { Target } from "../mesh/target.ts";
import { boundAsk } from "./bound.ts";

function bound(ask: ChatAsk, fields: Partial<Target> = {}) {
  return boundAsk(ask, ask.bounds(), createTestTarget(fields), undefined);
}

const bytes = 1_000;
const input = (bounds: Partial<AskBounds>, fields?: Partial<Target>) =>
  bound(createBoundedAsk(bytes, bounds), fields).input;

describe("what vendors lay before a prompt", () => {
  it("is more for Grok", () => {
    expect(input({}, { upstreamModel: "x-ai/Grok-4" })).toBe(bytes + 64 + 1_024);
  });

  const tools: ReadonlyArray<readonly [string, Partial<ChatAsk>, Partial<Target>]> = [
    ["typed", { parameters: () => ["tools"] }, {}],
    ["of a body", { wire: { tools: [] } }, {}],
    ["of an old body", { wire: { functions: [] } }, {}],
    ["that the target adds", {}, { overrides: { tools: [] } }],
  ];
  for (const [name, fields, target] of tools) {
    it(`explains tools ${name}, whatever the dialect`, () => {
      const ask = { ...createBoundedAsk(bytes), ...fields };
      const laid = target.overrides === undefined ? 0 : '{"tools":[]}'.length;
      expect(bound(ask, target).input).toBe(bytes + laid + 64 + 1_500);
    });
  }

  it("does not explain tools that are null", () => {
    expect(bound({ ...createBoundedAsk(bytes), wire: { tools: null } }).input).toBe(bytes + 64);
  });
});

describe("the bound of media", () => {
  it("counts a file elsewhere in full, also beside one that is here", () => {
    const here = input({ files: 1, filesElsewhere: 0, fileBytes: 10 });
    expect(here).toBe(bytes + 64 + 8_030);
    expect(input({ files: 2, filesElsewhere: 1, fileBytes: 10 })).toBe(here + 400_000);
    expect(input({ files: 2, filesElsewhere: 2 })).toBe(bytes + 64 + 800_000);
  });

  it("counts the shortest sound as more than its bytes", () => {
    expect(input({ sounds: 2, audioBytes: 30 })).toBe(bytes + 64 + 2 * 512 + 2);
  });
});

it("bounds an embedding by its bytes, or by the ids of its tokens", () => {
  const ids = Array.from({ length: 100 }, () => 100_000);
  const request = create(EmbedRequestSchema, {
    inputs: [{ input: { case: "tokens", value: { ids } } }],
  });
  const ask: EmbedAsk = createEmbedAsk(request, 310);
  expect(boundAsk(ask, ask.bounds(), createTestTarget(), undefined)).toEqual({
    input: 310 - 300 + 100 + 64,
    output: 0,
    choices: 1,
  });
});

it("bounds a batch of texts beyond what a model reads at once: that holds for each of them", () => {
  const inputs = Array.from({ length: 2_048 }, () => ({
    input: { case: "text" as const, value: "x".repeat(100) },
  }));
  const ask = createEmbedAsk(create(EmbedRequestSchema, { inputs }), 2_048 * 103);
  const { input } = boundAsk(ask, ask.bounds(), createTestTarget(), 8_192);
  expect(input).toBe(2_048 * 103 + 64);
});
