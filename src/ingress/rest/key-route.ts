import { answerJson } from "./answer.ts";
import { type Exchange, identifyCaller } from "./exchange.ts";
import { writeKey } from "./key-json.ts";

/**
 * Answers `GET /v1/key`: whose the key is, what it may ask for, and what is left of its limits, in
 * OpenRouter's form and with more. `/auth/key` is the older name of the same.
 */
export async function serveKey(exchange: Exchange): Promise<void> {
  const { house } = exchange;
  const principal = identifyCaller(exchange);
  const limits = await house.keyLimits(principal);
  answerJson(exchange, 200, { data: writeKey(principal, limits, house.clock.wallMs()) });
}
