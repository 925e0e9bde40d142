import { answerBytes } from "./answer.ts";
import { withClientDeadline, withDeadline } from "./arrival.ts";
import { readJsonBody } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import { createHead, pushCost } from "./response-head.ts";

/** Answers `POST /v1/embeddings`. Rejects only while nothing has been sent. */
export async function serveEmbed(exchange: Exchange): Promise<void> {
  const { http, house } = exchange;
  const call = withClientDeadline(withDeadline(exchange.call, http.headers), http.headers);
  const body = await readJsonBody(exchange);
  const ask = house.openaiEmbed.client.readAsk(body.json, body.bytes);
  exchange.journeyBegun = true;
  const outcome = await house.embed(call, ask);
  const head = createHead(exchange, "application/json", outcome.decision);
  pushCost(head, outcome.cost);
  const { wire } = outcome;
  const bytes =
    wire?.dialect === "openai"
      ? wire.bytes
      : JSON.stringify(house.openaiEmbed.client.writeAnswer(outcome.response(), ask));
  answerBytes(exchange, 200, head, bytes);
}
