import type { IncomingHttpHeaders } from "node:http";
import type { ExchangeReceiver, HttpExchange } from "./http-exchange.ts";
import { NodeRequest } from "./node-request.ts";
import { NodeResponse } from "./node-response.ts";

/**
 * Runs a handler that is written for node:http's requests and responses. It costs two of node's
 * streams, which the doors that carry the load must not pay; that is why the port builds them for
 * nobody.
 */
export function inNodeForm(
  exchange: HttpExchange,
  handler: (request: NodeRequest, response: NodeResponse) => void,
): void {
  const request = new NodeRequest(exchange);
  const response = new NodeResponse(exchange, request);
  exchange.receiver = new NodeReceiver(request, response);
  if (request.method === "CONNECT") {
    response.statusCode = 405;
    response.end();
    request.resume();
    return;
  }
  handler(request, response);
}

/** Passes on to the two of them what comes from the exchange. */
class NodeReceiver implements ExchangeReceiver {
  readonly #request: NodeRequest;
  readonly #response: NodeResponse;

  constructor(request: NodeRequest, response: NodeResponse) {
    this.#request = request;
    this.#response = response;
  }

  takeData(bytes: Buffer): boolean {
    return this.#request.takeData(bytes);
  }

  takeEnd(trailers: IncomingHttpHeaders | undefined): void {
    this.#request.takeEnd(trailers);
  }

  takeDrain(): void {
    this.#response.takeDrain();
  }

  takeClose(code: number): void {
    // What came to its end well says so first.
    if (code === 0) setImmediate(closeBoth, this.#request, this.#response);
    else closeBoth(this.#request, this.#response);
  }
}

function closeBoth(request: NodeRequest, response: NodeResponse): void {
  request.destroy();
  response.destroy();
}
