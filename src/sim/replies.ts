import type { ServerResponse } from "node:http";
import type { ChatDialect } from "../dialects/dialect.ts";
import { MeshError } from "../mesh/errors.ts";
import type { JsonObject } from "../mesh/json.ts";
import type { Refusal } from "./faults.ts";
import type { SimParameters } from "./parameters.ts";

const REQUEST_ID = "sim-refusal";

/** Sends a body of JSON, whole. */
export function sendJson(response: ServerResponse, status: number, body: JsonObject): void {
  const text = JSON.stringify(body);
  response
    .writeHead(status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(text),
    })
    .end(text);
}

/** Sends the refusal that a fault stands for, in the words of the dialect. */
export function refuseBy(
  dialect: Pick<ChatDialect, "client">,
  refusal: Refusal,
  parameters: SimParameters,
  response: ServerResponse,
): void {
  const { retryAfterS } = parameters;
  if (retryAfterS !== undefined) response.setHeader("retry-after", String(retryAfterS));
  const error = new MeshError(refusal.served, refusal.message);
  sendJson(response, refusal.status, dialect.client.writeError(error, REQUEST_ID));
}

/** Sends an error of the engine's own, such as a parameter that it does not know. */
export function refuseWith(
  dialect: Pick<ChatDialect, "client">,
  error: MeshError,
  response: ServerResponse,
): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const status = error.details.upstream?.status ?? error.row.http;
  sendJson(response, status, dialect.client.writeError(error, REQUEST_ID));
}
