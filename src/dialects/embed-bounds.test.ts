import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { type EmbedInput, EmbedPartsSchema, TokenIdsSchema } from "../../gen/weir/v1/embed_pb.ts";
import { EmbedRequestSchema } from "../../gen/weir/v1/embed_service_pb.ts";
import type { EmbedBounds } from "../mesh/ask.ts";
import { openaiEmbed } from "./openai/index.ts";
import { createEmbedAsk } from "./typed-ask.ts";

const nothing: EmbedBounds = {
  images: 0,
  sounds: 0,
  audioBytes: 0,
  files: 0,
  filesElsewhere: 0,
  fileBytes: 0,
  encodedBytes: 0,
  tokenIds: 0,
};

const PNG = Buffer.from("\x89PNG", "latin1");

it("bounds a body of /v1/embeddings", () => {
  const bound = (input: object) => {
    const text = JSON.stringify({ model: "m", input });
    return openaiEmbed.client.readAsk(JSON.parse(text), Buffer.byteLength(text)).bounds();
  };
  expect(bound(["x", "12"])).toEqual({ ...nothing, tokenIds: 0 });
  expect(bound([5, 15_496, 99])).toEqual({ ...nothing, tokenIds: 3, encodedBytes: 6 });
  expect(bound([[5], [15_496, 99]])).toEqual({ ...nothing, tokenIds: 3, encodedBytes: 6 });
});

it("bounds a typed embedding", () => {
  const bound = (input: EmbedInput["input"]) =>
    createEmbedAsk(create(EmbedRequestSchema, { inputs: [{ input }] }), 1_000).bounds();
  const tokens = create(TokenIdsSchema, { ids: [5, 127, 128, 15_496, 100_000] });
  expect(bound({ case: "text", value: "x" })).toEqual({ ...nothing, tokenIds: 0 });
  expect(bound({ case: "tokens", value: tokens })).toEqual({
    ...nothing,
    tokenIds: 5,
    encodedBytes: 9,
  });
  const image = {
    part: { case: "image", value: { blob: { source: { case: "data", value: PNG } } } },
  } as const;
  const parts = create(EmbedPartsSchema, { parts: [image] });
  expect(bound({ case: "parts", value: parts })).toEqual({
    ...nothing,
    images: 1,
    encodedBytes: 4,
    tokenIds: 0,
  });
});
