import { IncomingMessage, ServerResponse } from "node:http";
import { fromBinary, fromJson, type JsonValue, toJsonString } from "@bufbuild/protobuf";
import {
  CreateChatRequestSchema,
  CreateChatResponseSchema,
} from "../../../../gen/weir/v1/chat_service_pb.ts";
import {
  EmbedRequestSchema,
  EmbedResponseSchema,
} from "../../../../gen/weir/v1/embed_service_pb.ts";
import { createChatAsk, createEmbedAsk } from "../../../dialects/typed-ask.ts";
import type { ChatAsk, EmbedAsk } from "../../../mesh/ask.ts";
import type { RpcRequest, RpcResponse } from "../connect-door.ts";
import { MESSAGE_BYTES_MAX } from "../limits.ts";
import type { RpcHouse } from "../rpc-house.ts";
import { UnarySink } from "../unary-sink.ts";
import { validateChat, validateEmbed } from "../validate-chat.ts";
import { ConnectExchange, type ConnectMethod } from "./connect-exchange.ts";
import { decodeChat } from "./decode-chat.ts";
import { encodeChatAnswer, encodeVectors } from "./frame-answer.ts";
import { measureChat, measureEmbed } from "./measure-request.ts";

/**
 * The fast way for unary calls of the Connect protocol over HTTP/1.1 to the methods that carry
 * nearly all load. What is unusual is left to connect-node, which is the reference: both pass the
 * same suite.
 */
export interface ConnectUnary {
  /**
   * Serves a request. False, with nothing touched, when connect-node must. `giveBack` is called
   * with the body when that turns out later.
   */
  serve(request: RpcRequest, response: RpcResponse, giveBack: (body: Buffer) => void): boolean;
}

export function createConnectUnary(house: RpcHouse): ConnectUnary {
  const methods = new Map<string, ConnectMethod>([
    ["/weir.v1.ChatService/CreateChat", createChatMethod(house)],
    ["/weir.v1.EmbedService/Embed", createEmbedMethod(house)],
  ]);
  return {
    serve: (request, response, giveBack) => {
      const method = methods.get(request.url ?? "");
      if (method === undefined || !isPlain(request) || !(response instanceof ServerResponse)) {
        return false;
      }
      const { "content-type": type, "connect-timeout-ms": timeout } = request.headers;
      const binary = type === "application/proto";
      if (!binary && type !== "application/json") return false;
      const timeoutMs = typeof timeout === "string" ? Number(timeout) : undefined;
      const arrival = { house, method, binary, timeoutMs, giveBack };
      new ConnectExchange(arrival, request, response).open();
      return true;
    },
  };
}

/** Whether there is nothing about a request that connect-node treats in a way of its own. */
function isPlain(request: RpcRequest): request is IncomingMessage {
  if (!(request instanceof IncomingMessage) || request.method !== "POST") return false;
  const { headers } = request;
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") return false;
  // A body without a length may turn out too large.
  const length = headers["content-length"];
  if (length === undefined || !(Number(length) <= MESSAGE_BYTES_MAX)) return false;
  const timeout = headers["connect-timeout-ms"];
  if (timeout !== undefined && !(typeof timeout === "string" && TIMEOUT.test(timeout)))
    return false;
  return headers.host !== undefined && HOST.test(headers.host);
}

/** A millisecond at least, and no longer than a timer can wait. */
const TIMEOUT = /^[1-9][0-9]{0,8}$/;
const HOST = /^[a-z0-9.-]+(:[0-9]+)?$/i;
/** As connect-node reads JSON. */
const READ_OPTIONS = { ignoreUnknownFields: true };

function createChatMethod(house: RpcHouse): ConnectMethod {
  return {
    serve: (exchange, body) => {
      const decoded = tryDecode(exchange, body, decodeChatBinary, decodeChatJson);
      if (decoded === undefined) return undefined;
      const chat = validateChat(decoded.message);
      exchange.enter();
      const bytes = exchange.binary ? body.length : measureChat(chat);
      return answerChat(house, exchange, createChatAsk(chat, false, bytes));
    },
  };
}

async function answerChat(house: RpcHouse, exchange: ConnectExchange, ask: ChatAsk): Promise<void> {
  const sink = new UnarySink();
  const outcome = await house.chat(exchange.call, ask, sink);
  const answer = sink.answer(outcome);
  const body = exchange.binary
    ? encodeChatAnswer(answer)
    : toJsonString(CreateChatResponseSchema, answer);
  exchange.finish(body, outcome.decision, outcome.cost);
}

function createEmbedMethod(house: RpcHouse): ConnectMethod {
  return {
    serve: (exchange, body) => {
      const decoded = tryDecode(exchange, body, decodeEmbedBinary, decodeEmbedJson);
      if (decoded === undefined) return undefined;
      const request = validateEmbed(decoded.message);
      exchange.enter();
      const bytes = exchange.binary ? body.length : measureEmbed(request);
      return answerEmbed(house, exchange, createEmbedAsk(request, bytes));
    },
  };
}

async function answerEmbed(
  house: RpcHouse,
  exchange: ConnectExchange,
  ask: EmbedAsk,
): Promise<void> {
  const outcome = await house.embed(exchange.call, ask);
  const answer = outcome.response();
  const body = exchange.binary ? encodeVectors(answer) : toJsonString(EmbedResponseSchema, answer);
  exchange.finish(body, outcome.decision, outcome.cost);
}

/** Undefined when the body is no such message; connect-node then says why. */
function tryDecode<Message>(
  exchange: ConnectExchange,
  body: Buffer,
  binary: (body: Buffer) => Message,
  json: (json: JsonValue) => Message,
): { readonly message: Message } | undefined {
  try {
    return { message: exchange.binary ? binary(body) : json(JSON.parse(body.toString())) };
  } catch {
    return undefined;
  }
}

const decodeChatBinary = (body: Buffer) => decodeChat(CreateChatRequestSchema, body);
const decodeChatJson = (json: JsonValue) =>
  fromJson(CreateChatRequestSchema, json, READ_OPTIONS).chat;
const decodeEmbedBinary = (body: Buffer) => fromBinary(EmbedRequestSchema, body);
const decodeEmbedJson = (json: JsonValue) => fromJson(EmbedRequestSchema, json, READ_OPTIONS);
