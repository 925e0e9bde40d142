import { readCountAsk, writeCount } from "../../dialects/anthropic/index.ts";
import { answerJson } from "./answer.ts";
import { withClientDeadline, withDeadline } from "./arrival.ts";
import { readJsonBody } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import { withWireHeaders } from "./wire-headers.ts";

/** Answers `POST /v1/messages/count_tokens`. Rejects only while nothing has been sent. */
export async function serveCount(exchange: Exchange): Promise<void> {
  const { http, house } = exchange;
  const call = withClientDeadline(withDeadline(exchange.call, http.headers), http.headers);
  const body = await readJsonBody(exchange);
  const ask = withWireHeaders(readCountAsk(body.json, body.bytes), http.headers);
  const count = await house.countTokens(call, ask);
  if (count.estimated) {
    call.trail.warnings.push("input_tokens is an estimate: no vendor could be asked");
  }
  answerJson(exchange, 200, writeCount(count.inputTokens));
}
