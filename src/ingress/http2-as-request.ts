import type { IncomingHttpHeaders } from "node:http2";
import { ErrorCode } from "./h2/frames.ts";
import { H2Request } from "./h2/h2-request.ts";
import { H2Response } from "./h2/h2-response.ts";
import type { H2Stream, StreamReceiver } from "./h2/h2-stream.ts";

/**
 * Runs a handler of requests on an HTTP/2 stream, for the doors that are written for HTTP/1.1. It
 * costs two of node's streams, which the gRPC door must not pay; that is why the port builds them
 * for nobody.
 */
export function http2AsRequest(
  stream: H2Stream,
  headers: IncomingHttpHeaders,
  handler: (request: H2Request, response: H2Response) => void,
): void {
  const request = new H2Request(stream, headers);
  const response = new H2Response(stream, request);
  stream.receiver = new RequestReceiver(request, response);
  if (request.method === "CONNECT") {
    response.statusCode = 405;
    response.end();
    request.resume();
    return;
  }
  if (headers.expect === "100-continue") response.writeContinue();
  handler(request, response);
}

/** Passes on to the two of them what comes from the stream. */
class RequestReceiver implements StreamReceiver {
  readonly #request: H2Request;
  readonly #response: H2Response;

  constructor(request: H2Request, response: H2Response) {
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
    if (code === ErrorCode.NO_ERROR) setImmediate(closeBoth, this.#request, this.#response);
    else closeBoth(this.#request, this.#response);
  }
}

function closeBoth(request: H2Request, response: H2Response): void {
  request.destroy();
  response.destroy();
}
