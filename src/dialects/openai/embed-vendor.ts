import { type Embedding, type EmbedInput, VectorEncoding } from "../../../gen/weir/v1/embed_pb.ts";
import type { EmbedRequest, EmbedResponse } from "../../../gen/weir/v1/embed_service_pb.ts";
import type { Usage } from "../../../gen/weir/v1/usage_pb.ts";
import type { EmbedAsk } from "../../mesh/ask.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import type { Target } from "../../mesh/target.ts";
import type { UpstreamRequest, VectorsReading } from "../dialect.ts";
import { createGarbled, readErrorInside } from "./errors.ts";
import { isJsonArray, refuseField, type WireObject, writeJson } from "./field.ts";
import { readUsage } from "./usage.ts";
import { readFloats, writeFloats } from "./vector.ts";
import { findVendorTraits } from "./vendor-traits.ts";
import { parseJson } from "./write-part.ts";

/**
 * Ask → request; a body of this dialect goes on but for the model, the overrides, `models` and
 * `provider`.
 */
export function writeEmbedRequest(
  ask: EmbedAsk,
  target: Target,
  warnings: string[],
): UpstreamRequest {
  const body: WireObject =
    ask.dialect === "openai" && ask.wire !== undefined
      ? { ...ask.wire, models: undefined, provider: undefined }
      : translateBody(ask.request(), target, warnings);
  body.model = target.upstreamModel;
  if (target.overrides !== undefined) Object.assign(body, target.overrides);
  return { path: "/embeddings", headers: {}, body: writeJson(body, "request") };
}

/** A 2xx body → vectors. Throws UPSTREAM_GARBLED. */
export function readVectors(body: Buffer, ask: EmbedAsk): VectorsReading {
  let wire: JsonValue;
  try {
    wire = JSON.parse(body.toString("utf8"));
  } catch (cause) {
    throw createGarbled("the vectors are not JSON", cause);
  }
  if (!isJsonObject(wire)) throw createGarbled("the vectors are no object");
  const { data } = wire;
  if (!isJsonArray(data)) {
    if (wire.error != null) throw readErrorInside(wire);
    throw createGarbled("the answer has no data");
  }
  checkCount(data, ask);
  const usage = readUsage(wire.usage);
  const form = isInAskedForm(data[0], ask) ? body : undefined;
  let response: EmbedResponse | undefined;
  // What is decoded anyhow is decoded here, where nonsense still lets another target answer.
  if (form === undefined) response = decodeVectors(data, ask.request().encoding, usage);
  return {
    usage,
    wire: form,
    response: () => {
      response ??= decodeVectors(data, ask.request().encoding, usage);
      return response;
    },
  };
}

/** A vector too few or one of no input, and callers put vectors to the wrong texts. */
function checkCount(data: readonly JsonValue[], ask: EmbedAsk): void {
  const count = countInputs(ask);
  if (data.length !== count) {
    throw createGarbled(`there are ${data.length} vectors for ${count} inputs`);
  }
  for (const [at, item] of data.entries()) {
    const index = isJsonObject(item) && typeof item.index === "number" ? item.index : at;
    if (!(Number.isInteger(index) && index >= 0 && index < count)) {
      throw createGarbled(`data[${at}] is numbered ${index}`);
    }
  }
}

/** One text, one list of tokens, or a list of either. */
function countInputs(ask: EmbedAsk): number {
  if (ask.wire === undefined) return ask.request().inputs.length;
  const { input } = ask.wire;
  return isJsonArray(input) && typeof input[0] !== "number" ? input.length : 1;
}

/** Some engines do not know base64 and send numbers whatever was asked. */
function isInAskedForm(first: JsonValue | undefined, ask: EmbedAsk): boolean {
  if (ask.dialect !== "openai" || !isJsonObject(first)) return false;
  const base64 = ask.wire?.encoding_format === "base64";
  return base64 === (typeof first.embedding === "string");
}

function decodeVectors(
  data: readonly JsonValue[],
  encoding: VectorEncoding,
  usage: Usage | undefined,
): EmbedResponse {
  const response: EmbedResponse = {
    $typeName: "weir.v1.EmbedResponse",
    embeddings: data.map((item, at) => {
      if (!isJsonObject(item)) throw createGarbled(`data[${at}] is no object`);
      return decodeVector(item, at, encoding);
    }),
  };
  if (usage !== undefined) response.usage = usage;
  return response;
}

function decodeVector(item: JsonObject, at: number, encoding: VectorEncoding): Embedding {
  const wire = item.embedding;
  const bytes = encoding === VectorEncoding.LITTLE_ENDIAN;
  const vector: Embedding = {
    $typeName: "weir.v1.Embedding",
    index: typeof item.index === "number" ? item.index : at,
    values: [],
    littleEndian: new Uint8Array(0),
  };
  if (typeof wire === "string") {
    const littleEndian = Buffer.from(wire, "base64");
    if (littleEndian.length % 4 !== 0) throw createGarbled(`data[${at}] is no list of floats`);
    if (bytes) vector.littleEndian = littleEndian;
    else vector.values = [...readFloats(littleEndian)];
    return vector;
  }
  if (!isJsonArray(wire)) throw createGarbled(`data[${at}] has no embedding`);
  const values = wire.map((value) => {
    if (typeof value === "number" && Number.isFinite(value)) return value;
    throw createGarbled(`data[${at}] has a value that is no number`);
  });
  if (bytes) vector.littleEndian = writeFloats(values);
  else vector.values = values;
  return vector;
}

function translateBody(request: EmbedRequest, target: Target, warnings: string[]): WireObject {
  const body: WireObject = {
    model: request.model,
    input: writeInputs(request.inputs),
    // A tenth of the work of parsing numbers; engines that do not know it send numbers all the
    // same.
    encoding_format: findVendorTraits(target.provider).strict ? "base64" : "float",
  };
  if (request.dimensions !== undefined) body.dimensions = request.dimensions;
  if (request.endUser !== "") body.user = request.endUser;
  if (request.inputType !== "") {
    if (findVendorTraits(target.provider).strict) {
      warnings.push("input_type left out: the target has none");
    } else body.input_type = request.inputType;
  }
  const options = request.providerOptions === "" ? undefined : parseJson(request.providerOptions);
  if (isJsonObject(options) && isJsonObject(options.openai)) Object.assign(body, options.openai);
  return body;
}

function writeInputs(inputs: readonly EmbedInput[]): JsonValue {
  return inputs.map(({ input }, at) => {
    if (input.case === "text") return input.value;
    if (input.case === "tokens") return input.value.ids;
    const parts = input.case === "parts" ? input.value.parts : [];
    const texts = parts.map(({ part }) =>
      part.case === "text"
        ? part.value.text
        : refuseField(`inputs[${at}]`, "text or token ids for this target"),
    );
    return texts.join("");
  });
}
