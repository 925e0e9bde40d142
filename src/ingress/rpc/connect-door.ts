import type { IncomingHttpHeaders } from "node:http";
import type { Readable, Writable } from "node:stream";
import { Code, ConnectError, createConnectRouter } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { ChatService } from "../../../gen/weir/v1/chat_service_pb.ts";
import { EmbedService } from "../../../gen/weir/v1/embed_service_pb.ts";
import { ModelService } from "../../../gen/weir/v1/model_service_pb.ts";
import { asMeshError, MeshError } from "../../mesh/errors.ts";
import { createId } from "../../mesh/random.ts";
import { asNodePair } from "../node-pair.ts";
import { createChatService } from "./chat-service.ts";
import { createEmbedService } from "./embed-service.ts";
import { createHealthService } from "./health.ts";
import type { GiveBack } from "./hot/connect-exchange.ts";
import type { HotConnect } from "./hot/hot-connect.ts";
import { READ_OPTIONS } from "./hot/wire-reader.ts";
import { MESSAGE_BYTES_MAX, READ_TIMEOUT_MS } from "./limits.ts";
import { createModelService } from "./model-service.ts";
import { addReflection, servedServices } from "./reflection-service.ts";
import { createRpcErrorAnswer, sendRpcError } from "./rpc-error.ts";
import type { RpcHouse } from "./rpc-house.ts";

/** A request in the form of node:http's. */
export interface RpcRequest extends Readable {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly httpVersionMajor: number;
}

/** A response in the form of node:http's. */
export interface RpcResponse extends Writable {
  statusCode: number;
  readonly headersSent: boolean;
  setHeader(name: string, value: string | readonly string[]): unknown;
  writeHead(status: number, headers: string[]): unknown;
  addTrailers(trailers: Record<string, string>): unknown;
}

/** Serves one RPC. Never throws; the answer is complete some time later. */
export type ConnectDoor = (request: RpcRequest, response: RpcResponse) => void;

/**
 * Every service of the proxy over gRPC, gRPC-Web and Connect, on HTTP/1.1 and HTTP/2, by connect-
 * node. What it does with the methods of the hot door, and of `hot` when that is given, is the
 * reference for those.
 */
export function createConnectDoor(house: RpcHouse, hot?: HotConnect): ConnectDoor {
  const handlers = createHandlers(house);
  return (request, response) => {
    const handler = handlers.get(readPath(request));
    if (handler === undefined) {
      refuse(house, request, response, createUnknownError(readPath(request)));
      return;
    }
    const { methodKind } = handler.method;
    const oneMessage = methodKind === "unary" || methodKind === "server_streaming";
    if (oneMessage && request.httpVersionMajor !== 1) limitReading(house, request, response);
    const giveBack: GiveBack = (read, more) => {
      const body = listBody(read, more ? request : undefined);
      void serve(house, handler, { request, response, body });
    };
    if (hot?.serve(request, response, giveBack) === true) return;
    void serve(house, handler, { request, response });
  };
}

function createHandlers(house: RpcHouse): ReadonlyMap<string, UniversalHandler> {
  const router = createConnectRouter({
    // Never Brotli: the decoder of Node up to 26.12.0 is vulnerable.
    acceptCompression: [compressionGzip],
    readMaxBytes: MESSAGE_BYTES_MAX,
    binaryOptions: READ_OPTIONS,
    // A longer timer would fire at once.
    maxTimeoutMs: 2 ** 31 - 1,
    // Compressing answers costs more time than the wire of a data centre saves.
    compressMinBytes: MESSAGE_BYTES_MAX,
  });
  router.service(ChatService, createChatService(house));
  router.service(EmbedService, createEmbedService(house));
  router.service(ModelService, createModelService(house));
  router.service(Health, createHealthService(house, servedServices));
  addReflection(router);
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
}

interface Asked {
  readonly request: RpcRequest;
  readonly response: RpcResponse;
  /** The request's body, when it was begun to be read already. */
  readonly body?: AsyncIterable<Uint8Array>;
}

async function serve(house: RpcHouse, handler: UniversalHandler, asked: Asked): Promise<void> {
  const { request, response, body } = asked;
  try {
    const given = body === undefined ? undefined : {};
    const node = asNodePair(request, response);
    const universal = universalRequestFromNodeRequest(
      node.request,
      node.response,
      given,
      undefined,
    );
    const whole = body === undefined ? universal : { ...universal, body };
    const answer = await handler(whole);
    const header = new Headers(answer.header);
    // What connect-node refuses by itself, such as a message that does not parse, has no call of
    // ours.
    if (!header.has("x-request-id")) header.set("x-request-id", createId("req_"));
    await universalResponseToNodeResponse({ ...answer, header }, node.response);
  } catch (thrown) {
    // The caller is gone, or the request was so strange that not even its address made sense.
    if (response.headersSent) response.destroy();
    else refuse(house, request, response, mapFault(thrown));
  }
}

/** What was read of a body already, and what is still to come. */
async function* listBody(
  read: Buffer,
  rest: AsyncIterable<Uint8Array> | undefined,
): AsyncGenerator<Uint8Array> {
  yield read;
  if (rest !== undefined) yield* rest;
}

function mapFault(thrown: unknown): MeshError {
  const strange =
    thrown instanceof TypeError ||
    (thrown instanceof ConnectError && thrown.code === Code.Internal);
  if (!strange) return asMeshError(thrown);
  return new MeshError("INVALID_REQUEST", "The request's Host field makes no sense.", {
    cause: thrown,
  });
}

function refuse(
  house: RpcHouse,
  request: RpcRequest,
  response: RpcResponse,
  error: MeshError,
): void {
  house.refused(error.reason);
  sendRpcError(
    response,
    createRpcErrorAnswer(request.headers["content-type"], error, createId("req_")),
  );
  request.resume();
}

function createUnknownError(path: string): MeshError {
  const text = `There is no RPC ${path.slice(0, 200)}. Reflection lists the services there are.`;
  return new MeshError("ROUTE_NOT_FOUND", text);
}

function readPath(request: RpcRequest): string {
  const url = request.url ?? "";
  const query = url.indexOf("?");
  return query < 0 ? url : url.slice(0, query);
}

/** Drops a request whose body does not end; on HTTP/1.1 the port watches over that. */
function limitReading(house: RpcHouse, request: RpcRequest, response: RpcResponse): void {
  const timer = house.clock.after(READ_TIMEOUT_MS, () => {
    response.destroy();
  });
  const done = () => {
    timer.cancel();
    request.removeListener("end", done);
    response.removeListener("close", done);
  };
  request.on("end", done);
  response.on("close", done);
}
