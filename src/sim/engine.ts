import {
  type Chat,
  type Finish,
  FinishReason,
  Reasoning_Effort,
} from "../../gen/weir/v1/chat_pb.ts";
import type { Embedding } from "../../gen/weir/v1/embed_pb.ts";
import { VectorEncoding } from "../../gen/weir/v1/embed_pb.ts";
import type { EmbedRequest } from "../../gen/weir/v1/embed_service_pb.ts";
import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import type { JsonValue } from "../mesh/json.ts";
import { createSeededRandom } from "../mesh/random.ts";
import { createUsage } from "../mesh/usage.ts";
import type { SimParameters } from "./parameters.ts";
import { countParts, countPrompt, findLastUserText } from "./prompt.ts";
import { seedFrom, writeProse } from "./prose.ts";
import { createValue } from "./schema-value.ts";
import { countTokens, cutToTokens } from "./tokens.ts";
import { planToolCalls, type SimToolCall } from "./tool-calls.ts";
import { DIMENSIONS_DEFAULT, embedText } from "./vectors.ts";

/** The models of the simulated engine. */
export const SIM_CHAT_MODELS = ["echo", "text"] as const;
export const SIM_EMBED_MODELS = ["embed"] as const;

const TOKENS_DEFAULT = 64;
const HUGE_BYTES = 10 * 1024 * 1024;
const DIMENSIONS_MAX = 4096;

/** What the engine says to a chat, whole. The same request always has the same answer. */
export interface SimAnswer {
  /** Derived from the request, so that it repeats too. */
  readonly id: string;
  readonly model: string;
  readonly choices: readonly SimChoice[];
  readonly usage: Usage;
}

/** One of the answers to a chat. */
export interface SimChoice {
  /** Empty when there is none or when it was asked to be kept out. */
  readonly reasoning: string;
  readonly text: string;
  readonly toolCalls: readonly SimToolCall[];
  readonly finish: Finish;
}

/**
 * Answers a chat. Throws INVALID_REQUEST; UPSTREAM_REFUSED with status 404 for a model that it does
 * not have.
 */
export function answerChat(model: string, chat: Chat, parameters: SimParameters): SimAnswer {
  if (!SIM_CHAT_MODELS.some((name) => name === model)) throw createModelUnknown(model);
  const prompt = findLastUserText(chat);
  const seed = seedFrom(`${model}\n${chat.messages.length}\n${prompt}`);
  const most = chat.sampling?.maxTokens ?? Number.POSITIVE_INFINITY;
  const reasoningTokens = Math.min(planReasoning(chat, parameters), most);
  const choices: SimChoice[] = [];
  let outputTokens = 0;
  for (let i = 0; i < (chat.sampling?.n ?? 1); i++) {
    const inputs = { model, chat, parameters, prompt, seed: seed + i, reasoningTokens };
    const choice = answerChoice(inputs);
    outputTokens += countChoice(choice);
    const shown = reasoningTokens > 0 && !(chat.reasoning?.exclude ?? false);
    const reasoning = shown ? writeProse(seed + i + 1, reasoningTokens * 4) : "";
    choices.push({ ...choice, reasoning });
  }
  const inputTokens = countPrompt(chat);
  const cacheReadTokens = Math.min(parameters.cacheReadTokens, inputTokens);
  return {
    id: `sim-${seed.toString(16).padStart(8, "0")}`,
    model,
    choices,
    usage: createUsage({
      inputTokens: inputTokens - cacheReadTokens,
      cacheReadTokens,
      outputTokens,
      reasoningTokens: reasoningTokens * choices.length,
    }),
  };
}

/** Answers an embedding. Throws like answerChat. */
export function answerEmbed(model: string, request: EmbedRequest): SimVectors {
  if (!SIM_EMBED_MODELS.some((name) => name === model)) throw createModelUnknown(model);
  const dimensions = request.dimensions ?? DIMENSIONS_DEFAULT;
  if (dimensions < 1 || dimensions > DIMENSIONS_MAX) {
    const message = `\`dimensions\` must be between 1 and ${DIMENSIONS_MAX}.`;
    throw new MeshError("INVALID_REQUEST", message, { field: "dimensions" });
  }
  const asBytes = request.encoding === VectorEncoding.LITTLE_ENDIAN;
  const embeddings: Embedding[] = [];
  let inputTokens = 0;
  for (const { input } of request.inputs) {
    let text = "";
    if (input.case === "text") {
      text = input.value;
      inputTokens += countTokens(text);
    } else if (input.case === "tokens") {
      text = input.value.ids.join(" ");
      inputTokens += input.value.ids.length;
    } else if (input.case === "parts") {
      for (const { part } of input.value.parts) if (part.case === "text") text += part.value.text;
      inputTokens += countParts(input.value.parts);
    }
    const vector = embedText(text, dimensions);
    embeddings.push({
      $typeName: "weir.v1.Embedding",
      index: embeddings.length,
      values: asBytes ? [] : Array.from(vector),
      littleEndian: asBytes ? encodeLittleEndian(vector) : new Uint8Array(0),
    });
  }
  return { embeddings, usage: createUsage({ inputTokens }) };
}

/** What the engine says to an embedding. */
export interface SimVectors {
  readonly embeddings: Embedding[];
  readonly usage: Usage;
}

interface ChoiceInputs {
  readonly model: string;
  readonly chat: Chat;
  readonly parameters: SimParameters;
  readonly prompt: string;
  readonly seed: number;
  readonly reasoningTokens: number;
}

function answerChoice(inputs: ChoiceInputs): SimChoice {
  const { chat, parameters, seed } = inputs;
  const most = chat.sampling?.maxTokens;
  // The caller's limit holds for reasoning and text together.
  const left = most === undefined ? undefined : Math.max(0, most - inputs.reasoningTokens);
  const planned = planToolCalls(chat, parameters, seed);
  const toolCalls = left === undefined ? planned : takeCalls(planned, left);
  if (planned.length > 0) {
    const isCut = toolCalls.length < planned.length;
    const reason = isCut ? FinishReason.LENGTH : FinishReason.TOOL_CALLS;
    return { reasoning: "", text: "", toolCalls, finish: finish(reason) };
  }
  const whole = planText(inputs);
  const stopped = stopAt(whole, chat.sampling?.stop ?? []);
  const text = left === undefined ? stopped.text : cutToTokens(stopped.text, left);
  if (text.length < stopped.text.length) {
    return { reasoning: "", text, toolCalls, finish: finish(FinishReason.LENGTH) };
  }
  if (parameters.fault === "content_filter" && parameters.faultAfter !== undefined) {
    const kept = cutToTokens(text, parameters.faultAfter);
    return { reasoning: "", text: kept, toolCalls, finish: finish(FinishReason.CONTENT_FILTER) };
  }
  return { reasoning: "", text, toolCalls, finish: finish(FinishReason.STOP, stopped.met) };
}

function planText({ model, chat, parameters, prompt, seed }: ChoiceInputs): string {
  if (parameters.fault === "huge") return writeProse(seed, HUGE_BYTES);
  if (parameters.text !== undefined) return parameters.text;
  const format = chat.responseFormat?.format;
  if (format?.case === "jsonObject") {
    return JSON.stringify({ answer: writeProse(seed, 48), number: seed % 100 });
  }
  if (format?.case === "jsonSchema") {
    const schema = parseSchema(format.value.schema);
    return JSON.stringify(createValue(schema, createSeededRandom(seed)));
  }
  if (model === "echo" && parameters.tokens === undefined) return prompt;
  return writeProse(seed, (parameters.tokens ?? TOKENS_DEFAULT) * 4);
}

function parseSchema(text: string): JsonValue {
  try {
    return JSON.parse(text);
  } catch {
    const field = "response_format";
    const message = "`response_format` must have a JSON Schema that is JSON.";
    throw new MeshError("INVALID_REQUEST", message, { field });
  }
}

/** The text up to the first stop text that it meets. */
function stopAt(text: string, stops: readonly string[]): { text: string; met: string } {
  let at = text.length;
  let met = "";
  for (const stop of stops) {
    const found = stop === "" ? -1 : text.indexOf(stop);
    if (found < 0 || found >= at) continue;
    at = found;
    met = stop;
  }
  return { text: text.slice(0, at), met };
}

function planReasoning(chat: Chat, parameters: SimParameters): number {
  if (parameters.reasoningTokens !== undefined) return parameters.reasoningTokens;
  if (chat.reasoning === undefined) return 0;
  const byEffort = TOKENS_BY_EFFORT.get(chat.reasoning.effort) ?? 32;
  return Math.min(byEffort, chat.reasoning.maxTokens ?? byEffort);
}

const TOKENS_BY_EFFORT = new Map<Reasoning_Effort, number>([
  [Reasoning_Effort.NONE, 0],
  [Reasoning_Effort.MINIMAL, 8],
  [Reasoning_Effort.LOW, 16],
  [Reasoning_Effort.MEDIUM, 32],
  [Reasoning_Effort.HIGH, 64],
  [Reasoning_Effort.MAX, 128],
]);

function countChoice(choice: SimChoice): number {
  let tokens = choice.text === "" ? 0 : countTokens(choice.text);
  for (const call of choice.toolCalls) tokens += countCall(call);
  return tokens;
}

function countCall(call: SimToolCall): number {
  return countTokens(call.name + call.arguments);
}

/** The first calls, as many as fit whole. */
function takeCalls(calls: readonly SimToolCall[], tokens: number): SimToolCall[] {
  const taken: SimToolCall[] = [];
  let left = tokens;
  for (const call of calls) {
    left -= countCall(call);
    if (left < 0) break;
    taken.push(call);
  }
  return taken;
}

function finish(reason: FinishReason, stopSequence = ""): Finish {
  return { $typeName: "weir.v1.Finish", reason, raw: RAW.get(reason) ?? "", stopSequence };
}

const RAW = new Map<FinishReason, string>([
  [FinishReason.STOP, "stop"],
  [FinishReason.LENGTH, "length"],
  [FinishReason.TOOL_CALLS, "tool_calls"],
  [FinishReason.CONTENT_FILTER, "content_filter"],
]);

function encodeLittleEndian(vector: Float32Array): Uint8Array {
  const bytes = Buffer.alloc(vector.length * 4);
  for (let i = 0; i < vector.length; i++) bytes.writeFloatLE(vector[i] ?? 0, i * 4);
  return bytes;
}

function createModelUnknown(model: string): MeshError {
  const known = [...SIM_CHAT_MODELS, ...SIM_EMBED_MODELS].join(", ");
  return new MeshError("UPSTREAM_REFUSED", "The upstream does not have this model for this call.", {
    internal: `the simulated engine has no model ${model} for this; it has ${known}`,
    upstream: {
      status: 404,
      type: "invalid_request_error",
      code: "model_not_found",
      param: "model",
    },
  });
}
