import { fromJson } from "@bufbuild/protobuf";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import type { Chat, Decision } from "../../../../gen/weir/v1/chat_pb.ts";
import { StreamChatRequestSchema } from "../../../../gen/weir/v1/chat_service_pb.ts";
import { createChatAsk } from "../../../dialects/typed-ask.ts";
import type { MeshError } from "../../../mesh/errors.ts";
import { addAnswerFields } from "../answer-headers.ts";
import { createConnectError } from "../mesh-to-status.ts";
import type { RpcHouse } from "../rpc-house.ts";
import { validateChat } from "../validate-chat.ts";
import { FRAME_PREFIX_BYTES } from "./back-writer.ts";
import { type ConnectArrival, ConnectExchange } from "./connect-exchange.ts";
import { decodeChat } from "./decode-chat.ts";
import { type EventExchange, EventSink } from "./event-sink.ts";
import { frameEvents } from "./frame-events.ts";
import { frameJson, frameJsonEvents } from "./frame-json.ts";
import { measureChat } from "./measure-request.ts";
import { streamEvents } from "./stream-chat.ts";

/**
 * ChatService.StreamChat: messages are framed as gRPC does it, and a frame of JSON says how the
 * stream ended.
 */
export class StreamChatExchange extends ConnectExchange implements EventExchange {
  readonly #house: RpcHouse;

  constructor(arrival: ConnectArrival) {
    super(arrival);
    this.#house = arrival.house;
  }

  protected override serve(body: Buffer): Promise<void> | undefined {
    const message = unframe(body);
    const decoded = message === undefined ? undefined : this.#decode(message);
    if (message === undefined || decoded === undefined) return undefined;
    const chat = validateChat(decoded.chat);
    this.enter();
    const bytes = this.binary ? message.length : measureChat(chat);
    const sink = new EventSink(this, this.binary ? frameEvents : frameJsonEvents);
    return streamEvents(this.#house, this.call, createChatAsk(chat, true, bytes), sink);
  }

  #decode(message: Buffer): { readonly chat?: Chat | undefined } | undefined {
    try {
      if (this.binary) return { chat: decodeChat(StreamChatRequestSchema, message) };
      const options = { ignoreUnknownFields: true };
      return fromJson(StreamChatRequestSchema, JSON.parse(message.toString()), options);
    } catch {
      return undefined;
    }
  }

  start(decision: Decision): void {
    const fields: string[] = [];
    const facts = { house: this.#house, call: this.call, decision, cost: undefined };
    addAnswerFields(fields, facts);
    this.#head(fields);
  }

  write(frames: Buffer): boolean {
    if (this.ended || this.response.destroyed) return false;
    return this.response.write(frames);
  }

  ready(): Promise<void> {
    const { cancellation } = this.call;
    if (cancellation.cause !== undefined) return Promise.reject(cancellation.cause);
    const { response } = this;
    if (!response.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const stop = cancellation.onCancel((cause) => {
        response.removeListener("drain", drained);
        reject(cause);
      });
      const drained = () => {
        stop();
        resolve();
      };
      response.once("drain", drained);
    });
  }

  finish(lastFrames: Buffer): void {
    this.#end(Buffer.concat([lastFrames, GOOD_END]));
  }

  protected override sendError(error: MeshError, fields: string[]): void {
    this.#head(fields);
    const told = createConnectError(error, this.call.requestId);
    this.#end(frameJson(END_FLAG, JSON.stringify({ error: errorToJson(told, undefined) })));
  }

  #head(fields: string[]): void {
    if (this.ended || this.response.headersSent || this.response.destroyed) return;
    const type = this.binary ? "application/connect+proto" : "application/connect+json";
    fields.push("content-type", type);
    this.response.writeHead(200, fields);
  }

  #end(frames: Buffer): void {
    if (this.ended || this.response.destroyed) return;
    this.ended = true;
    this.response.end(frames);
  }
}

/** The one message of a body; undefined for whatever else a body may be. */
function unframe(body: Buffer): Buffer | undefined {
  if (body.length < FRAME_PREFIX_BYTES || body[0] !== 0) return undefined;
  if (body.readUInt32BE(1) !== body.length - FRAME_PREFIX_BYTES) return undefined;
  return body.subarray(FRAME_PREFIX_BYTES);
}

const END_FLAG = 2;
const GOOD_END = frameJson(END_FLAG, "{}");
