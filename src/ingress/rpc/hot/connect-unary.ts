import { fromBinary, fromJson, type JsonValue, toJsonString } from "@bufbuild/protobuf";
import { codeToHttpStatus, errorToJson } from "@connectrpc/connect/protocol-connect";
import type { Decision } from "../../../../gen/weir/v1/chat_pb.ts";
import {
  CreateChatRequestSchema,
  CreateChatResponseSchema,
} from "../../../../gen/weir/v1/chat_service_pb.ts";
import {
  EmbedRequestSchema,
  EmbedResponseSchema,
} from "../../../../gen/weir/v1/embed_service_pb.ts";
import type { Cost } from "../../../../gen/weir/v1/usage_pb.ts";
import { createChatAsk, createEmbedAsk } from "../../../dialects/typed-ask.ts";
import type { ChatAsk, EmbedAsk } from "../../../mesh/ask.ts";
import type { MeshError } from "../../../mesh/errors.ts";
import { addAnswerFields } from "../answer-headers.ts";
import { createConnectError } from "../mesh-to-status.ts";
import type { RpcHouse } from "../rpc-house.ts";
import { UnarySink } from "../unary-sink.ts";
import { validateChat, validateEmbed } from "../validate-chat.ts";
import { type ConnectArrival, ConnectExchange } from "./connect-exchange.ts";
import { decodeChat } from "./decode-chat.ts";
import { encodeChatAnswer, encodeVectors } from "./frame-answer.ts";
import { measureChat, measureEmbed } from "./measure-request.ts";
import { READ_OPTIONS } from "./wire-reader.ts";

/** A unary call: its body is a message, and so is its answer's. */
abstract class UnaryExchange extends ConnectExchange {
  protected readonly house: RpcHouse;

  constructor(arrival: ConnectArrival) {
    super(arrival);
    this.house = arrival.house;
  }

  /** Undefined when the body is no such message; connect-node then says why. */
  protected decode<Message>(
    body: Buffer,
    binary: (body: Buffer) => Message,
    json: (json: JsonValue) => Message,
  ): { readonly message: Message } | undefined {
    try {
      return { message: this.binary ? binary(body) : json(JSON.parse(body.toString())) };
    } catch {
      return undefined;
    }
  }

  /** Sends the answer: a message, or JSON as text. */
  protected finish(body: Buffer | string, decision: Decision, cost: Cost): void {
    const fields = ["content-type", this.binary ? "application/proto" : "application/json"];
    addAnswerFields(fields, { house: this.house, call: this.call, decision, cost });
    this.#send(200, fields, body);
  }

  protected override sendError(error: MeshError, fields: string[]): void {
    const told = createConnectError(error, this.call.requestId);
    fields.push("content-type", "application/json");
    const json = JSON.stringify(errorToJson(told, undefined));
    this.#send(codeToHttpStatus(told.code), fields, json);
  }

  #send(status: number, fields: string[], body: Buffer | string): void {
    if (this.ended || this.response.destroyed) return;
    this.ended = true;
    const bytes = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    fields.push("content-length", String(bytes));
    this.response.writeHead(status, fields);
    this.response.end(body);
  }
}

/** ChatService.CreateChat. */
export class CreateChatExchange extends UnaryExchange {
  protected override serve(body: Buffer): Promise<void> | undefined {
    const decoded = this.decode(body, decodeChatBinary, decodeChatJson);
    if (decoded === undefined) return undefined;
    const chat = validateChat(decoded.message);
    this.enter();
    const bytes = this.binary ? body.length : measureChat(chat);
    return this.#answer(createChatAsk(chat, false, bytes));
  }

  async #answer(ask: ChatAsk): Promise<void> {
    const sink = new UnarySink();
    const outcome = await this.house.chat(this.call, ask, sink);
    const answer = sink.answer(outcome);
    const body = this.binary
      ? encodeChatAnswer(answer)
      : toJsonString(CreateChatResponseSchema, answer);
    this.finish(body, outcome.decision, outcome.cost);
  }
}

/** EmbedService.Embed. */
export class EmbedExchange extends UnaryExchange {
  protected override serve(body: Buffer): Promise<void> | undefined {
    const decoded = this.decode(body, decodeEmbedBinary, decodeEmbedJson);
    if (decoded === undefined) return undefined;
    const request = validateEmbed(decoded.message);
    this.enter();
    const bytes = this.binary ? body.length : measureEmbed(request);
    return this.#answer(createEmbedAsk(request, bytes));
  }

  async #answer(ask: EmbedAsk): Promise<void> {
    const outcome = await this.house.embed(this.call, ask);
    const answer = outcome.response();
    const body = this.binary ? encodeVectors(answer) : toJsonString(EmbedResponseSchema, answer);
    this.finish(body, outcome.decision, outcome.cost);
  }
}

/** As connect-node reads JSON. */
const JSON_OPTIONS = { ignoreUnknownFields: true };

const decodeChatBinary = (body: Buffer) => decodeChat(CreateChatRequestSchema, body);
const decodeChatJson = (json: JsonValue) =>
  fromJson(CreateChatRequestSchema, json, JSON_OPTIONS).chat;
const decodeEmbedBinary = (body: Buffer) => fromBinary(EmbedRequestSchema, body, READ_OPTIONS);
const decodeEmbedJson = (json: JsonValue) => fromJson(EmbedRequestSchema, json, JSON_OPTIONS);
