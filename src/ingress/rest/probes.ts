import { answerBytes, answerJson } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { createHead } from "./response-head.ts";

/** Answers `GET /healthz`: that this process turns its event loop, and nothing else. */
export function serveHealth(exchange: Exchange): void {
  answerJson(exchange, 200, { status: "ok" });
}

/** Answers `GET /readyz`: whether requests are served, and what is wrong. */
export function serveReadiness(exchange: Exchange): void {
  const { ready, faults } = exchange.house.readiness();
  const head = createHead(exchange, "application/json");
  if (!ready) head.push("retry-after", "1");
  answerBytes(exchange, ready ? 200 : 503, head, JSON.stringify({ ready, faults }));
}
