import { type EmbedInput, VectorEncoding } from "../../../gen/weir/v1/embed_pb.ts";
import type { EmbedRequest, EmbedResponse } from "../../../gen/weir/v1/embed_service_pb.ts";
import type { EmbedAsk } from "../../mesh/ask.ts";
import type { JsonObject, JsonValue } from "../../mesh/json.ts";
import { sumInputTokens } from "../../mesh/usage.ts";
import { toBase64 } from "./blob.ts";
import { boundEmbedBody } from "./bound-ask.ts";
import { readLabels } from "./chat-ask.ts";
import {
  type Field,
  isJsonArray,
  readInteger,
  readObject,
  readString,
  readStrings,
  refuseField,
  type WireObject,
  writeJson,
} from "./field.ts";
import { readRouting } from "./read-routing.ts";
import { readFloats, writeFloats } from "./vector.ts";

const INPUTS_MAX = 2048;

/** Reads a body of `/v1/embeddings`. Throws INVALID_REQUEST naming the field. */
export function readEmbedAsk(body: JsonObject, bytes: number): EmbedAsk {
  const { model, input } = body;
  if (typeof model !== "string" || model === "") refuseField("model", "the name of a model");
  if (typeof input !== "string" && !(isJsonArray(input) && input.length > 0)) {
    refuseField("input", "a text, a list of texts, or token ids");
  }
  const encoding = readString(body.encoding_format, "encoding_format");
  if (encoding !== undefined && encoding !== "float" && encoding !== "base64") {
    refuseField("encoding_format", "float or base64");
  }
  readInteger(body.dimensions, "dimensions");
  const models = readStrings(body.models, "models");
  let request: EmbedRequest | undefined;
  const ask: EmbedAsk = {
    dialect: "openai",
    model,
    fallbackModels: models.filter((name) => name !== model),
    labels: readLabels(readObject(body.metadata, "metadata")),
    endUser: readString(body.user, "user") ?? "",
    bytes,
    wire: body,
    parameters: () => (body.dimensions == null ? [] : ["dimensions"]),
    routing: () => (body.provider == null ? undefined : ask.request().routing),
    request: () => {
      request ??= readEmbedRequest(body, ask);
      return request;
    },
    bounds: () => boundEmbedBody(body),
  };
  return ask;
}

/** Vectors → body, in the encoding that was asked for. */
export function writeVectors(response: EmbedResponse, ask: EmbedAsk): JsonObject {
  const base64 = ask.request().encoding === VectorEncoding.LITTLE_ENDIAN;
  const tokens = response.usage === undefined ? 0 : sumInputTokens(response.usage);
  const usage: WireObject = { prompt_tokens: tokens, total_tokens: tokens };
  if (response.cost?.known) usage.cost = Number(response.cost.costNanoUsd) / 1e9;
  return {
    object: "list",
    data: response.embeddings.map((embedding) => ({
      object: "embedding",
      index: embedding.index,
      embedding: base64
        ? toBase64(
            embedding.littleEndian.length > 0
              ? embedding.littleEndian
              : writeFloats(embedding.values),
          )
        : embedding.values.length > 0
          ? embedding.values
          : [...readFloats(embedding.littleEndian)],
    })),
    model: response.decision?.model || ask.model,
    usage,
  };
}

const known = new Set([
  ...["model", "models", "input", "dimensions", "encoding_format", "user", "metadata"],
  ...["provider", "input_type"],
]);

function readEmbedRequest(body: JsonObject, ask: EmbedAsk): EmbedRequest {
  const dimensions = readInteger(body.dimensions, "dimensions");
  const routing = readRouting(body.provider);
  const options: WireObject = {};
  for (const name in body) if (!known.has(name) && body[name] != null) options[name] = body[name];
  return {
    $typeName: "weir.v1.EmbedRequest",
    model: ask.model,
    inputs: readInputs(body.input),
    encoding:
      body.encoding_format === "base64" ? VectorEncoding.LITTLE_ENDIAN : VectorEncoding.FLOATS,
    inputType: readString(body.input_type, "input_type") ?? "",
    labels: { ...ask.labels },
    endUser: ask.endUser,
    providerOptions:
      Object.keys(options).length === 0 ? "" : writeJson({ openai: options }, "request"),
    fallbackModels: [...ask.fallbackModels],
    ...(dimensions === undefined ? {} : { dimensions }),
    ...(routing === undefined ? {} : { routing }),
  };
}

/** A text, texts, the ids of one input, or those of several. */
function readInputs(input: Field): EmbedInput[] {
  if (typeof input === "string") return [createTextInput(input)];
  if (!isJsonArray(input)) return refuseField("input", "a text, a list of texts, or token ids");
  if (typeof input[0] === "number") return [createTokenInput(input, "input")];
  if (input.length > INPUTS_MAX) refuseField("input", `a list of ${INPUTS_MAX} inputs at most`);
  return input.map((item, at) => {
    const field = `input[${at}]`;
    if (typeof item === "string") return createTextInput(item);
    return isJsonArray(item)
      ? createTokenInput(item, field)
      : refuseField(field, "a text or token ids");
  });
}

function createTextInput(text: string): EmbedInput {
  return { $typeName: "weir.v1.EmbedInput", input: { case: "text", value: text } };
}

function createTokenInput(ids: readonly JsonValue[], field: string): EmbedInput {
  const value = ids.map((id, at) => {
    const name = `${field}[${at}]`;
    return readInteger(id, name) ?? refuseField(name, "a token id");
  });
  return {
    $typeName: "weir.v1.EmbedInput",
    input: { case: "tokens", value: { $typeName: "weir.v1.TokenIds", ids: value } },
  };
}
