import type { IncomingMessage, ServerResponse } from "node:http";
import type { IncomingHttpHeaders } from "node:http2";
import type { H2Stream } from "./h2/h2-stream.ts";
import { http2AsRequest } from "./http2-as-request.ts";
import type { RestDoor } from "./rest/door.ts";
import type { AdminRelay } from "./rpc/admin-relay.ts";
import { createConnectDoor, type RpcRequest, type RpcResponse } from "./rpc/connect-door.ts";
import { answerCors } from "./rpc/cors.ts";
import { createHotConnect } from "./rpc/hot/hot-connect.ts";
import { createHotDoor } from "./rpc/hot/hot-door.ts";
import type { RpcHouse } from "./rpc/rpc-house.ts";

/** The doors of a proxy, as the port calls them. */
export interface Doors {
  http1(request: IncomingMessage, response: ServerResponse): void;
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
  return {
    http1: (request, response) => {
      const room = chooseRoom(request.url, request.headers["content-type"]);
      if (room === "rest") rest(request, response);
      else if (room === "rpc") rpc(request, response);
      else if (!answerCors(origins, request, response)) adminRelay.http1(request, response);
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
      if (room === "rest") http2AsRequest(stream, headers, rest);
      else if (room === "rpc") http2AsRequest(stream, headers, rpc);
      else if (headers.origin === undefined) adminRelay.http2(stream, headers);
      else {
        // Only browsers send this field; they get the slower way that knows of CORS.
        http2AsRequest(stream, headers, (request, response) => {
          if (!answerCors(origins, request, response)) adminRelay.http1(request, response);
        });
      }
    },
  };
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
