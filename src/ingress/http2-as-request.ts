import {
  Http2ServerRequest,
  Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";

/**
 * Runs a handler of requests on an HTTP/2 stream, for the doors that are written for HTTP/1.1. It
 * costs two objects and their listeners, which the gRPC door must not pay; that is why the port
 * builds them for nobody.
 */
export function http2AsRequest(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  handler: (request: Http2ServerRequest, response: Http2ServerResponse) => void,
): void {
  const request = new Http2ServerRequest(stream, headers, {}, []);
  const response = new Http2ServerResponse(stream);
  if (headers[":method"] === "CONNECT") {
    response.writeHead(405);
    response.end();
    return;
  }
  if (headers.expect === "100-continue") response.writeContinue();
  handler(request, response);
}
