import type { Chat } from "../../gen/weir/v1/chat_pb.ts";
import type { EmbedRequest } from "../../gen/weir/v1/embed_service_pb.ts";
import type { ChatAsk, EmbedAsk } from "../mesh/ask.ts";
import { boundChat, boundEmbed } from "./typed-bounds.ts";

/** A request of the typed door as an ask: the message is there already. */
export function createChatAsk(chat: Chat, stream: boolean, bytes: number): ChatAsk {
  return {
    dialect: "weir",
    model: chat.model,
    fallbackModels: chat.fallbackModels,
    stream,
    labels: chat.labels,
    sessionId: chat.sessionId,
    endUser: chat.endUser,
    bytes,
    wire: undefined,
    parameters: () => listChatParameters(chat),
    routing: () => chat.routing,
    chat: () => chat,
    bounds: () => boundChat(chat),
  };
}

/** A request of the typed door as an ask. */
export function createEmbedAsk(request: EmbedRequest, bytes: number): EmbedAsk {
  return {
    dialect: "weir",
    model: request.model,
    fallbackModels: request.fallbackModels,
    labels: request.labels,
    endUser: request.endUser,
    bytes,
    wire: undefined,
    parameters: () => (request.dimensions === undefined ? [] : ["dimensions"]),
    routing: () => request.routing,
    request: () => request,
    bounds: () => boundEmbed(request),
  };
}

/** Names of the fields of a chat that are set, beyond model and messages, as policies name them. */
export function listChatParameters(chat: Chat): string[] {
  const names: string[] = [];
  if (chat.tools.length > 0) names.push("tools");
  if (chat.toolChoice !== undefined) names.push("tool_choice");
  if (chat.responseFormat !== undefined) names.push("response_format");
  if (chat.reasoning !== undefined) names.push("reasoning");
  if (chat.modalities.length > 0) names.push("modalities");
  if (chat.audioOutput !== undefined) names.push("audio_output");
  if (chat.providerOptions !== "") names.push("provider_options");
  const sampling = chat.sampling;
  if (sampling === undefined) return names;
  if (sampling.maxTokens !== undefined) names.push("max_tokens");
  if (sampling.temperature !== undefined) names.push("temperature");
  if (sampling.topP !== undefined) names.push("top_p");
  if (sampling.topK !== undefined) names.push("top_k");
  if (sampling.minP !== undefined) names.push("min_p");
  if (sampling.frequencyPenalty !== undefined) names.push("frequency_penalty");
  if (sampling.presencePenalty !== undefined) names.push("presence_penalty");
  if (sampling.seed !== undefined) names.push("seed");
  if (sampling.stop.length > 0) names.push("stop");
  if (sampling.n !== undefined) names.push("n");
  if (sampling.logprobs !== undefined) names.push("logprobs");
  if (sampling.topLogprobs !== undefined) names.push("top_logprobs");
  if (Object.keys(sampling.logitBias).length > 0) names.push("logit_bias");
  return names;
}
