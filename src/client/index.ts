import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ChatSchema } from "../../gen/weir/v1/chat_pb.ts";
import {
  ChatService,
  type CreateChatResponse,
  type StreamChatResponse,
} from "../../gen/weir/v1/chat_service_pb.ts";
import { VectorEncoding } from "../../gen/weir/v1/embed_pb.ts";
import {
  type EmbedRequestSchema,
  type EmbedResponse,
  EmbedService,
} from "../../gen/weir/v1/embed_service_pb.ts";
import { type Model, ModelService } from "../../gen/weir/v1/model_service_pb.ts";
import { createConnectCaller } from "./connect-caller.ts";
import { createGrpcCaller } from "./grpc-caller.ts";
import { Journey } from "./journey.ts";
import { type CallOptions, readSettings, type WeirClientOptions } from "./options.ts";
import { type Surroundings, systemSurroundings } from "./surroundings.ts";
import { readVectors } from "./vectors.ts";

export * from "../../gen/weir/v1/chat_pb.ts";
export * from "../../gen/weir/v1/chat_service_pb.ts";
export * from "../../gen/weir/v1/embed_pb.ts";
export * from "../../gen/weir/v1/embed_service_pb.ts";
export * from "../../gen/weir/v1/error_pb.ts";
export { type Model, Model_Health, ModelSchema } from "../../gen/weir/v1/model_service_pb.ts";
export * from "../../gen/weir/v1/usage_pb.ts";
export { assistant, type MessageInit, system, user } from "./messages.ts";
export type {
  CallOptions,
  KeepaliveOptions,
  RetryOptions,
  TlsOptions,
  WeirClientOptions,
} from "./options.ts";
export { type FieldViolation, WeirError } from "./weir-error.ts";

/** A question, as it is written in code: fields may be left out. */
export type ChatInit = MessageInitShape<typeof ChatSchema>;

/** A batch to embed, as it is written in code. */
export type EmbedInit = MessageInitShape<typeof EmbedRequestSchema>;

/**
 * One event of an answer. The first is `started`, the last is `finished`; kinds of later releases
 * are left out.
 */
export type ChatEvent = Exclude<StreamChatResponse["event"], { case: undefined }>;

/** A typed client of Weir. Every call rejects with a WeirError. */
export interface WeirClient {
  readonly chat: {
    /** The whole answer in one message. */
    create(chat: ChatInit, options?: CallOptions): Promise<CreateChatResponse>;
    /**
     * The answer piece by piece. Breaking off the loop cancels the call, and the upstream's with
     * it.
     */
    stream(chat: ChatInit, options?: CallOptions): AsyncGenerator<ChatEvent, void, undefined>;
    /** The text of the first answer, and nothing else of it. */
    text(chat: ChatInit, options?: CallOptions): Promise<string>;
  };
  /** Embeds a batch. */
  embed(request: EmbedInit, options?: CallOptions): Promise<EmbedResponse>;
  /** The vectors of some texts, in order, in the form that is cheapest on the wire. */
  embedTexts(
    model: string,
    texts: readonly string[],
    options?: CallOptions,
  ): Promise<Float32Array[]>;
  readonly models: {
    /** All models that the key may use. */
    list(options?: CallOptions): Promise<Model[]>;
    /** One of them; NOT_FOUND when there is none of that name that the key may know of. */
    get(model: string, options?: CallOptions): Promise<Model>;
  };
  /** Ends the connection. Calls under way fail. */
  close(): void;
}

/**
 * Throws a TypeError that says which option is wrong. Opens no connection before the first call.
 */
export function createWeirClient(
  options: WeirClientOptions,
  surroundings: Surroundings = systemSurroundings,
): WeirClient {
  const settings = readSettings(options);
  const caller =
    options.transport === "connect" ? createConnectCaller(settings) : createGrpcCaller(settings);
  const journey = new Journey(caller, settings, surroundings);
  return {
    chat: createChatCalls(journey),
    ...createEmbedCalls(journey),
    models: createModelCalls(journey),
    close: () => caller.close(),
  };
}

function createChatCalls(journey: Journey): WeirClient["chat"] {
  const { createChat, streamChat } = ChatService.method;
  return {
    create: (chat, options = {}) => journey.unary(createChat, { chat }, options),
    stream: async function* (chat, options = {}) {
      for await (const { event } of journey.stream(streamChat, { chat }, options)) {
        if (event.case !== undefined) yield event;
      }
    },
    text: async (chat, options = {}) => {
      const answer = await journey.unary(createChat, { chat }, options);
      let text = "";
      for (const { part } of answer.choices[0]?.message?.parts ?? []) {
        if (part.case === "text") text += part.value.text;
      }
      return text;
    },
  };
}

function createEmbedCalls(journey: Journey): Pick<WeirClient, "embed" | "embedTexts"> {
  const { embed } = EmbedService.method;
  return {
    embed: (request, options = {}) => journey.unary(embed, request, options),
    embedTexts: async (model, texts, options = {}) => {
      const inputs = texts.map((text) => ({ input: { case: "text" as const, value: text } }));
      const encoding = VectorEncoding.LITTLE_ENDIAN;
      const answer = await journey.unary(embed, { model, inputs, encoding }, options);
      return readVectors(answer, texts.length);
    },
  };
}

function createModelCalls(journey: Journey): WeirClient["models"] {
  const { listModels, getModel } = ModelService.method;
  return {
    list: async (options = {}) => {
      const models: Model[] = [];
      for (let pageToken = ""; ; ) {
        const page = await journey.unary(listModels, { pageSize: 1000, pageToken }, options);
        models.push(...page.models);
        pageToken = page.nextPageToken;
        if (pageToken === "") return models;
      }
    },
    get: async (model, options = {}) => {
      const answer = await journey.unary(getModel, { model }, options);
      if (answer.model === undefined) throw new TypeError(`Weir sent no model for ${model}`);
      return answer.model;
    },
  };
}
