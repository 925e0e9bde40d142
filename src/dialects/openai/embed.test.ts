import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { VectorEncoding } from "../../../gen/weir/v1/embed_pb.ts";
import { EmbedRequestSchema } from "../../../gen/weir/v1/embed_service_pb.ts";
import { createTestProvider, createTestTarget } from "../../../test/support/targets.ts";
import type { JsonObject } from "../../mesh/json.ts";
import { createEmbedAsk } from "../typed-ask.ts";
import { openaiEmbed } from "./index.ts";

const { client, vendor } = openaiEmbed;

function targetAt(address: string): ReturnType<typeof createTestTarget> {
  const provider = createTestProvider("providers/p", "openai", { baseUrls: [address] });
  return createTestTarget({ provider, upstreamModel: "up" });
}

const openAi = targetAt("https://api.openai.com/v1");
const local = targetAt("http://127.0.0.1:11434/v1");

const vector = [0.5, -1.25, 3];
const base64 = Buffer.from(new Uint8Array(Float32Array.from(vector).buffer)).toString("base64");

function bodyOf(embedding: unknown): Buffer {
  const data = [{ object: "embedding", index: 0, embedding }];
  return Buffer.from(
    JSON.stringify({ object: "list", data, model: "up", usage: { prompt_tokens: 2 } }),
  );
}

function typed(request: MessageInitShape<typeof EmbedRequestSchema>) {
  return createEmbedAsk(create(EmbedRequestSchema, { model: "m", ...request }), 1);
}

describe("openaiEmbed", () => {
  const inputs: Array<[JsonObject[string], number]> = [
    ["a", 1],
    [["a", "b"], 2],
    [[1, 2, 3], 1],
    [[[1], [2, 3]], 2],
  ];
  for (const [input, count] of inputs) {
    it(`reads ${JSON.stringify(input)} and passes it on`, () => {
      const ask = client.readAsk({ model: "m", input, user: "u", odd: 1 }, 1);
      expect(ask.request().inputs).toHaveLength(count);
      expect(JSON.parse(vendor.writeRequest(ask, local, []).body)).toEqual({
        model: "up",
        input,
        user: "u",
        odd: 1,
      });
    });
  }

  const bad: Array<[JsonObject, string]> = [
    [{ input: "a" }, "model"],
    [{ model: "m" }, "input"],
    [{ model: "m", input: [] }, "input"],
    [{ model: "m", input: "a", encoding_format: "int8" }, "encoding_format"],
    [{ model: "m", input: "a", dimensions: 1.5 }, "dimensions"],
  ];
  for (const [body, field] of bad) {
    it(`refuses ${JSON.stringify(body)}`, () => {
      const run = () => client.readAsk(body, 1);
      expect(run).toThrow(expect.objectContaining({ details: { field } }));
    });
  }

  it("refuses to translate an input that is neither text nor ids", () => {
    const ask = client.readAsk({ model: "m", input: ["a", {}] }, 1);
    expect(() => ask.request()).toThrow("input[1]");
  });

  for (const [encoding, form] of [
    ["float", vector],
    ["base64", base64],
  ] as const) {
    it(`gives ${encoding} whatever the engine sends`, () => {
      const ask = client.readAsk({ model: "m", input: "a", encoding_format: encoding }, 1);
      for (const sent of [vector, base64]) {
        const body = bodyOf(sent);
        const reading = vendor.readAnswer(body, ask);
        expect(reading.wire).toBe(sent === form ? body : undefined);
        expect(client.writeAnswer(reading.response(), ask)).toMatchObject({
          object: "list",
          data: [{ object: "embedding", index: 0, embedding: form }],
          usage: { prompt_tokens: 2, total_tokens: 2 },
        });
      }
    });
  }

  it("asks OpenAI for bytes and others for numbers", () => {
    const ask = typed({ inputs: [{ input: { case: "text", value: "a" } }], dimensions: 3 });
    expect(JSON.parse(vendor.writeRequest(ask, openAi, []).body)).toEqual({
      model: "up",
      input: ["a"],
      dimensions: 3,
      encoding_format: "base64",
    });
    expect(JSON.parse(vendor.writeRequest(ask, local, []).body).encoding_format).toBe("float");
  });

  it("gives the typed door the form that it asked for", () => {
    const inputs = [{ input: { case: "text", value: "a" } as const }];
    const bytes = typed({ inputs, encoding: VectorEncoding.LITTLE_ENDIAN });
    const floats = typed({ inputs });
    for (const sent of [vector, base64]) {
      const little = vendor.readAnswer(bodyOf(sent), bytes).response().embeddings[0];
      expect(Buffer.from(little?.littleEndian ?? []).toString("base64")).toBe(base64);
      expect(vendor.readAnswer(bodyOf(sent), floats).response().embeddings[0]?.values).toEqual(
        vector,
      );
    }
  });

  for (const body of ["<html>", "[]", "{}", '{"data":[{}]}', '{"data":[{"embedding":"AAA="}]}']) {
    it(`refuses ${body} as an answer`, () => {
      const ask = typed({ inputs: [{ input: { case: "text", value: "a" } }] });
      expect(() => vendor.readAnswer(Buffer.from(body), ask).response()).toThrow("no sense");
    });
  }

  const lies: Array<[string, unknown[]]> = [
    ["a vector too few", [{ index: 0, embedding: [1] }]],
    ["a vector of no input", [0, 1e9].map((index) => ({ index, embedding: [1] }))],
    ["a value that is no number", [0, 1].map((index) => ({ index, embedding: [1, "x"] }))],
  ];
  for (const [name, data] of lies) {
    it(`refuses ${name}, while another target may still answer`, () => {
      const inputs = ["a", "b"].map((value) => ({ input: { case: "text", value } as const }));
      const body = Buffer.from(JSON.stringify({ data }));
      expect(() => vendor.readAnswer(body, typed({ inputs }))).toThrow("no sense");
    });
  }
});
