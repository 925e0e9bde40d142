import type { RpcRequest, RpcResponse } from "../connect-door.ts";
import { MESSAGE_BYTES_MAX } from "../limits.ts";
import type { RpcHouse } from "../rpc-house.ts";
import type { ConnectArrival, ConnectExchange, GiveBack } from "./connect-exchange.ts";
import { StreamChatExchange } from "./connect-stream.ts";
import { CreateChatExchange, EmbedExchange } from "./connect-unary.ts";

/**
 * The fast way for calls of the Connect protocol to the methods that carry nearly all load. What is
 * unusual is left to connect-node, which is the reference: both pass the same suite.
 */
export interface HotConnect {
  /**
   * Serves a request. False, with nothing touched, when connect-node must. `giveBack` is called
   * when that turns out later.
   */
  serve(request: RpcRequest, response: RpcResponse, giveBack: GiveBack): boolean;
}

export function createHotConnect(house: RpcHouse): HotConnect {
  return {
    serve: (request, response, giveBack) => {
      const method = methods.get(request.url ?? "");
      if (method === undefined || !isPlain(request, method.encodingField)) return false;
      const { "content-type": type, "connect-timeout-ms": timeout } = request.headers;
      const binary = type === method.binaryType;
      if (!binary && type !== method.jsonType) return false;
      const timeoutMs = timeout === undefined ? undefined : Number(timeout);
      method.create({ house, request, response, binary, timeoutMs, giveBack }).open();
      return true;
    },
  };
}

interface HotConnectMethod {
  readonly binaryType: string;
  readonly jsonType: string;
  /** The header field that names how messages are compressed. */
  readonly encodingField: string;
  create(arrival: ConnectArrival): ConnectExchange;
}

const unary = {
  binaryType: "application/proto",
  jsonType: "application/json",
  encodingField: "content-encoding",
};
const stream = {
  binaryType: "application/connect+proto",
  jsonType: "application/connect+json",
  encodingField: "connect-content-encoding",
};

const methods: ReadonlyMap<string, HotConnectMethod> = new Map<string, HotConnectMethod>([
  [
    "/weir.v1.ChatService/CreateChat",
    { ...unary, create: (arrival) => new CreateChatExchange(arrival) },
  ],
  [
    "/weir.v1.ChatService/StreamChat",
    { ...stream, create: (arrival) => new StreamChatExchange(arrival) },
  ],
  ["/weir.v1.EmbedService/Embed", { ...unary, create: (arrival) => new EmbedExchange(arrival) }],
]);

/** Whether there is nothing about a request that connect-node treats in a way of its own. */
function isPlain(request: RpcRequest, encodingField: string): boolean {
  if (request.method !== "POST") return false;
  const { headers } = request;
  const encoding = headers[encodingField];
  if (encoding !== undefined && encoding !== "identity") return false;
  const length = headers["content-length"];
  if (length !== undefined && !(Number(length) <= MESSAGE_BYTES_MAX)) return false;
  const timeout = headers["connect-timeout-ms"];
  if (timeout !== undefined && !TIMEOUT.test(String(timeout))) return false;
  return HOST.test(headers.host ?? headers[":authority"]?.toString() ?? "");
}

/** A millisecond at least, and no longer than a timer can wait. */
const TIMEOUT = /^[1-9][0-9]{0,8}$/;
const HOST = /^[a-z0-9.-]+(:[0-9]+)?$/i;
