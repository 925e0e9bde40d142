import type { NodeRequest } from "../ingress/node-request.ts";
import type { NodeResponse } from "../ingress/node-response.ts";
import { asMeshError } from "../mesh/errors.ts";
import { METRICS_TYPE } from "../telemetry/metrics.ts";

/** A page of a control process beside its services. */
export interface MetricsPage {
  /** Throws CREDENTIAL_* and PERMISSION_DENIED for who may not read it. */
  admit(headers: Headers): void;
  read(): string;
}

/** Answers `GET /metrics`. False for every other request, of which nothing is touched. */
export function answerMetrics(
  page: MetricsPage,
  request: NodeRequest,
  response: NodeResponse,
): boolean {
  const [path] = (request.url ?? "").split("?", 1);
  if (path !== "/metrics") return false;
  if (request.method !== "GET" && request.method !== "HEAD") {
    answer(response, 405, { allow: "GET, HEAD" }, "");
    return true;
  }
  try {
    page.admit(readHeaders(request));
    const text = page.read();
    const head = { "content-type": METRICS_TYPE, "cache-control": "no-store" };
    answer(response, 200, head, request.method === "HEAD" ? "" : text);
  } catch (thrown) {
    const { message, reason, row } = asMeshError(thrown);
    const body = { error: { message, type: row.openai, code: reason.toLowerCase() } };
    answer(response, row.http, { "content-type": "application/json" }, JSON.stringify(body));
  }
  return true;
}

/** The two that carry a credential. */
function readHeaders({ headers }: NodeRequest): Headers {
  const read = new Headers();
  for (const name of ["authorization", "x-api-key"]) {
    const value = headers[name];
    if (typeof value === "string") read.set(name, value);
  }
  return read;
}

function answer(
  response: NodeResponse,
  status: number,
  head: Readonly<Record<string, string>>,
  body: string,
): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries(head)) response.setHeader(name, value);
  response.end(body);
}
