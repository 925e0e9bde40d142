import type { Port } from "../ingress/port.ts";
import { createMetric, type Metric } from "../telemetry/metrics.ts";

/** What a port has done with connections; nothing before there is one. */
export function listConnections(port: Pick<Port, "connections"> | undefined): Metric[] {
  if (port === undefined) return [];
  const { open, refused, sheds } = port.connections();
  const name = "weir_connections";
  return [
    createMetric("gauge", `${name}_open`, "Connections of clients that are open.", open),
    createMetric(
      "counter",
      `${name}_refused_total`,
      "Connections that were closed as they came, because all places were taken.",
      refused,
    ),
    createMetric(
      "counter",
      `${name}_sheds_total`,
      "Times that all idle connections were closed, to make room.",
      sheds,
    ),
  ];
}
