import type { Call } from "../../mesh/call.ts";
import { MeshError } from "../../mesh/errors.ts";
import type { Principal } from "../../mesh/grant.ts";
import type { House } from "../house.ts";
import type { ExchangeReceiver, HttpExchange } from "../http-exchange.ts";
import type { RestOptions } from "./options.ts";
import type { Route } from "./routes.ts";

/** One request on its way through the REST door. */
export interface Exchange {
  readonly house: House;
  readonly options: RestOptions;
  readonly route: Route;
  /**
   * What follows the route's path, still percent-encoded; empty for a route without a parameter.
   */
  readonly parameter: string;
  /** The request as it came, and the way for its answer. */
  readonly http: HttpExchange;
  /** Where the caller's news go. */
  readonly caller: Caller;
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

/** Whoever reads a request's body. */
export interface BodyReader {
  takeData(bytes: Buffer): void;
  takeEnd(): void;
}

/**
 * The receiver of a REST exchange: hands the body to its reader, and cancels the call when the
 * caller goes away before its answer is complete.
 */
export class Caller implements ExchangeReceiver {
  /** To be set in the turn in which the request came; what nobody reads is thrown away. */
  reader: BodyReader | undefined;
  /** Called when what had to wait has left. */
  drained: (() => void) | undefined;
  #exchange: Exchange | undefined;

  /** Takes from now on what comes from an exchange. */
  watch(exchange: Exchange): void {
    this.#exchange = exchange;
    exchange.http.receiver = this;
  }

  takeData(bytes: Buffer): boolean {
    this.reader?.takeData(bytes);
    return true;
  }

  takeEnd(): void {
    this.reader?.takeEnd();
  }

  takeDrain(): void {
    this.drained?.();
  }

  takeClose(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    exchange.load.bytes -= exchange.bodyBytes;
    exchange.bodyBytes = 0;
    if (exchange.http.answerEnded) return;
    exchange.call.cancellation.cancel(
      new MeshError("CALLER_GONE", "The caller closed its connection."),
    );
  }
}

/** Who asks. Throws CREDENTIAL_*. */
export function identifyCaller(exchange: Exchange): Principal {
  return exchange.house.identify(exchange.call.credential);
}
