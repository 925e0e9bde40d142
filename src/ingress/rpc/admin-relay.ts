import type { IncomingHttpHeaders } from "node:http2";
import type { Clock } from "../../mesh/clock.ts";
import type { H2Stream } from "../h2/h2-stream.ts";
import type { RpcRequest, RpcResponse } from "./connect-door.ts";
import { createHttp1Relay } from "./relay-http1.ts";
import { createHttp2Relay } from "./relay-http2.ts";

/** Where the control process listens. */
export interface RelayTarget {
  readonly host: string;
  readonly port: number;
  /** With it the control process speaks TLS: PEM of the authorities to trust. */
  readonly ca?: Buffer;
}

export interface RelayOptions {
  /** Asked for each request; undefined while no control process is known. */
  target(): RelayTarget | undefined;
  readonly clock: Clock;
}

/** Hands requests on to the control process byte for byte, streams and cancellations included. */
export interface AdminRelay {
  /**
   * Takes requests of HTTP/1.1, and those of HTTP/2 in the same form; passes them on over
   * HTTP/1.1.
   */
  http1(request: RpcRequest, response: RpcResponse): void;
  http2(stream: H2Stream, headers: IncomingHttpHeaders): void;
  /** Closes the connections to the control process. */
  close(): void;
}

/**
 * The way to the Admin services, which live in the control process, through the one port of a
 * proxy. The relay reads nothing and judges nothing: the control process does.
 */
export function createAdminRelay(options: RelayOptions): AdminRelay {
  const http1 = createHttp1Relay(options);
  const http2 = createHttp2Relay(options);
  return {
    http1: http1.relay,
    http2: http2.relay,
    close: () => {
      http1.close();
      http2.close();
    },
  };
}
