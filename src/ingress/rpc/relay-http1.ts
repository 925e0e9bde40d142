import { Agent, type ClientRequest, type IncomingMessage, request as openRequest } from "node:http";
import { request as openTlsRequest, Agent as TlsAgent } from "node:https";
import { createId } from "../../mesh/random.ts";
import type { RelayOptions } from "./admin-relay.ts";
import type { RpcRequest, RpcResponse } from "./connect-door.ts";
import { createUnreachableError, isHopByHop } from "./relay-headers.ts";
import { createRpcErrorAnswer, sendRpcError } from "./rpc-error.ts";

/** More connections than this to the control process are never opened; further requests wait. */
const SOCKETS_MAX = 128;
const CONNECT_TIMEOUT_MS = 5_000;

/** Relays over HTTP/1.1, on connections that are kept. */
export function createHttp1Relay(options: RelayOptions): {
  relay(request: RpcRequest, response: RpcResponse): void;
  close(): void;
} {
  const agents: Agents = {
    clear: new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX }),
    tls: new TlsAgent({ keepAlive: true, maxSockets: SOCKETS_MAX }),
  };
  return {
    relay: (request, response) => relay(options, agents, request, response),
    close: () => {
      agents.clear.destroy();
      agents.tls.destroy();
    },
  };
}

interface Agents {
  readonly clear: Agent;
  readonly tls: TlsAgent;
}

function relay(
  options: RelayOptions,
  agents: Agents,
  request: RpcRequest,
  response: RpcResponse,
): void {
  const target = options.target();
  if (target === undefined) {
    refuse(request, response);
    return;
  }
  const order = {
    host: target.host,
    port: target.port,
    method: request.method ?? "GET",
    path: request.url ?? "/",
    headers: listRequestHeaders(request),
  };
  const onward =
    target.ca === undefined
      ? openRequest({ ...order, agent: agents.clear })
      : openTlsRequest({ ...order, agent: agents.tls, ca: target.ca });
  limitConnecting(options, onward);
  onward.on("response", (answer) => passAnswer(answer, response));
  onward.on("error", (error) => {
    if (response.headersSent) response.destroy();
    else refuse(request, response, error);
  });
  response.on("close", () => {
    if (!response.writableEnded) onward.destroy();
  });
  request.on("error", () => onward.destroy());
  request.pipe(onward);
}

function passAnswer(answer: IncomingMessage, response: RpcResponse): void {
  const connection = answer.headers.connection;
  response.statusCode = answer.statusCode ?? 502;
  for (const name in answer.headersDistinct) {
    if (isHopByHop(name, connection)) continue;
    const values = answer.headersDistinct[name] ?? [];
    response.setHeader(name, values.length === 1 ? (values[0] ?? "") : values);
  }
  answer.on("error", () => response.destroy());
  answer.on("aborted", () => response.destroy());
  answer.on("end", () => {
    for (const name in answer.trailers) {
      const value = answer.trailers[name];
      if (value !== undefined) response.addTrailers({ [name]: value });
    }
  });
  answer.pipe(response);
}

function listRequestHeaders(request: RpcRequest): Record<string, string | string[]> {
  const { headers } = request;
  const kept: Record<string, string | string[]> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || name.startsWith(":")) continue;
    if (!isHopByHop(name, headers.connection)) kept[name] = value;
  }
  const authority = headers[":authority"];
  if (kept.host === undefined && typeof authority === "string") kept.host = authority;
  return kept;
}

/** A host that answers no SYN would keep the caller waiting for minutes. */
function limitConnecting(options: RelayOptions, onward: ClientRequest): void {
  onward.on("socket", (socket) => {
    if (!socket.connecting) return;
    const timer = options.clock.after(CONNECT_TIMEOUT_MS, () => {
      socket.destroy(new Error("no connection in time"));
    });
    const done = () => {
      timer.cancel();
      socket.removeListener("connect", done);
      socket.removeListener("close", done);
    };
    socket.on("connect", done);
    socket.on("close", done);
  });
}

function refuse(request: RpcRequest, response: RpcResponse, cause?: unknown): void {
  const error = createUnreachableError(cause);
  const contentType = request.headers["content-type"];
  sendRpcError(response, createRpcErrorAnswer(contentType, error, createId("req_")));
  request.resume();
}
