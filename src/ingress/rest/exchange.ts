import type { IncomingHttpHeaders } from "node:http";
import type { Readable, Writable } from "node:stream";
import type { Call } from "../../mesh/call.ts";
import { MeshError } from "../../mesh/errors.ts";
import type { Principal } from "../../mesh/grant.ts";
import type { House } from "../house.ts";
import type { RestOptions } from "./options.ts";
import type { Route } from "./routes.ts";

/** A request of node:http, or one on an HTTP/2 stream in the same form. */
export interface RestRequest extends Readable {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly httpVersionMajor: number;
}

/** A response of node:http, or one on an HTTP/2 stream in the same form. */
export interface RestResponse extends Writable {
  readonly headersSent: boolean;
  writeHead(status: number, headers: string[]): unknown;
}

/** One request on its way through the REST door. */
export interface Exchange {
  readonly house: House;
  readonly options: RestOptions;
  readonly route: Route;
  /**
   * What follows the route's path, still percent-encoded; empty for a route without a parameter.
   */
  readonly parameter: string;
  readonly request: RestRequest;
  readonly response: RestResponse;
  readonly call: Call;
  /** True once a handler of the house has the call, so that it leaves a record. */
  journeyBegun: boolean;
  /** What all requests of the door hold in memory together. */
  readonly load: BodyLoad;
  /** This one's share of it, given back when the response closes. */
  bodyBytes: number;
}

/** Bytes of the bodies whose requests are open. */
export interface BodyLoad {
  bytes: number;
}

/** Cancels the call when the caller goes away before its answer is complete, and lets go of it. */
export function watchCaller(exchange: Exchange): void {
  const { response, call } = exchange;
  response.on("error", ignore);
  response.on("close", () => {
    exchange.load.bytes -= exchange.bodyBytes;
    exchange.bodyBytes = 0;
    if (response.writableEnded) return;
    call.cancellation.cancel(new MeshError("CALLER_GONE", "The caller closed its connection."));
  });
}

/** Who asks. Throws CREDENTIAL_*. */
export function identifyCaller(exchange: Exchange): Principal {
  return exchange.house.identify(exchange.call.credential);
}

function ignore(): void {}
