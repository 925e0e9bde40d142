import type { IncomingHttpHeaders } from "node:http2";
import { createH2Exchange } from "./h2/h2-exchange.ts";
import type { H2Stream } from "./h2/h2-stream.ts";
import { inNodeForm } from "./node-form.ts";
import type { NodeRequest } from "./node-request.ts";
import type { NodeResponse } from "./node-response.ts";

/** Runs a handler that is written for node:http on an HTTP/2 stream. */
export function http2AsRequest(
  stream: H2Stream,
  headers: IncomingHttpHeaders,
  handler: (request: NodeRequest, response: NodeResponse) => void,
): void {
  inNodeForm(createH2Exchange(stream, headers), handler);
}
