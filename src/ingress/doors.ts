import type { IncomingHttpHeaders } from "node:http2";
import { createH2Exchange } from "./h2/h2-exchange.ts";
import type { H2Stream } from "./h2/h2-stream.ts";
import type { HttpExchange } from "./http-exchange.ts";
import { inNodeForm } from "./node-form.ts";
import type { RestDoor } from "./rest/door.ts";
import type { AdminRelay } from "./rpc/admin-relay.ts";
import { createConnectDoor, type RpcRequest, type RpcResponse } from "./rpc/connect-door.ts";
import { answerCors } from "./rpc/cors.ts";
import { createHotConnect } from "./rpc/hot/hot-connect.ts";
import { createHotDoor } from "./rpc/hot/hot-door.ts";
import type { RpcHouse } from "./rpc/rpc-house.ts";

/** The doors of a proxy, as the port calls them. */
export interface Doors {
  http1(exchange: HttpExchange): void;
  http2(stream: H2Stream, headers: IncomingHttpHeaders): void;
}

export interface DoorOptions {
  readonly house: RpcHouse;
  readonly rest: RestDoor;
  readonly adminRelay: AdminRelay;
  /** False serves every RPC by connect-node, the reference. Default true. */
  readonly hotDoor?: boolean;
  /** Origins whose scripts may call RPCs from a browser; `*` means all. Default none. */
  readonly corsOrigins?: readonly string[];
}

/** Leads each request to its door, by path and content type. */
export function createDoors(options: DoorOptions): Doors {
  const { house, rest, adminRelay } = options;
  const isHot = options.hotDoor !== false;
  const connect = createConnectDoor(house, isHot ? createHotConnect(house) : undefined);
  const hot = isHot ? createHotDoor(house) : undefined;
  const origins = new Set(options.corsOrigins);

  const rpc = (request: RpcRequest, response: RpcResponse) => {
    if (answerCors(origins, request, response)) return;
    connect(request, response);
  };
  const admin = (request: RpcRequest, response: RpcResponse) => {
    if (answerCors(origins, request, response)) return;
    adminRelay.http1(request, response);
  };
  const lead = (exchange: HttpExchange, room: Room) => {
    if (exchange.method === "CONNECT") refuseTunnel(exchange);
    else if (room === "rest") rest(exchange);
    else inNodeForm(exchange, room === "rpc" ? rpc : admin);
  };
  return {
    http1: (exchange) => {
      lead(exchange, chooseRoom(exchange.url, exchange.headers["content-type"]));
    },
    http2: (stream, headers) => {
      const path = headers[":path"];
      const contentType = headers["content-type"];
      const method = hot?.find(path, contentType);
      if (hot !== undefined && method !== undefined && headers[":method"] === "POST") {
        hot.accept(method, stream, headers);
        return;
      }
      const room = chooseRoom(path, contentType);
      // Only browsers send an origin; they get the slower way that knows of CORS.
      const isDirect = room === "admin" && headers.origin === undefined;
      if (isDirect) adminRelay.http2(stream, headers);
      else lead(createH2Exchange(stream, headers), room);
    },
  };
}

function refuseTunnel(exchange: HttpExchange): void {
  exchange.respond(405, ["content-length", "0"]);
  exchange.end();
}

type Room = "rest" | "rpc" | "admin";

/**
 * A path outside of Weir's packages is no RPC, unless its content type says that its caller thinks
 * so.
 */
function chooseRoom(path: string | undefined, contentType: string | undefined): Room {
  if (path === undefined) return "rest";
  if (path.startsWith("/weir.")) return path.startsWith("/weir.admin.v1.") ? "admin" : "rpc";
  if (path.startsWith("/grpc.")) return "rpc";
  return contentType?.startsWith("application/grpc") === true ? "rpc" : "rest";
}
