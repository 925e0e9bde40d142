import { Role } from "../../../gen/weir/admin/v1/team_pb.ts";
import { MeshError } from "../../mesh/errors.ts";
import { answerBytes } from "./answer.ts";
import { type Exchange, identifyCaller } from "./exchange.ts";
import { createHead } from "./response-head.ts";

/**
 * Answers `GET /metrics` for Prometheus: to keys that read everything, or to anybody where whoever
 * runs Weir says so.
 */
export function serveMetrics(exchange: Exchange): void {
  const { metrics } = exchange.house;
  if (metrics?.open !== true) assertReadsEverything(exchange);
  if (metrics === undefined) throw new MeshError("UNIMPLEMENTED", "This Weir has no metrics.");
  const head = createHead(exchange, metrics.type);
  answerBytes(exchange, 200, head, metrics.read());
}

function assertReadsEverything(exchange: Exchange): void {
  const { adminRole } = identifyCaller(exchange);
  if (adminRole === Role.PLATFORM_ADMIN || adminRole === Role.AUDITOR) return;
  throw new MeshError(
    "PERMISSION_DENIED",
    "Metrics are for administrative keys with the role auditor or platform admin. Whoever runs " +
      "Weir can open them with --metrics-open.",
  );
}
