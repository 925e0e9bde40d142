/** One metric with all its series. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  /** A counter only rises; a gauge is whatever it is now. */
  readonly type: "counter" | "gauge";
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

/** By name; names are written in the code, values may come from anywhere. */
export type Labels = Readonly<Record<string, string>>;

/** The content type of what `formatMetrics` makes. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Metrics in Prometheus' text format, each series with the common labels too. */
export function formatMetrics(metrics: readonly Metric[], common: Labels): string {
  const lines: string[] = [];
  for (const { name, help, type, samples } of metrics) {
    lines.push(`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`);
    for (const { labels, value } of samples) {
      lines.push(`${name}${formatLabels({ ...common, ...labels })} ${formatValue(value)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** A metric that has one series. */
export function createMetric(
  type: Metric["type"],
  name: string,
  help: string,
  value: number,
): Metric {
  return { name, help, type, samples: [{ labels: {}, value }] };
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeLabel(text: string): string {
  return text.replace(/[\\"\n]/g, (letter) => (letter === "\n" ? "\\n" : `\\${letter}`));
}

function escapeHelp(text: string): string {
  return text.replace(/[\\\n]/g, (letter) => (letter === "\n" ? "\\n" : "\\\\"));
}

function formatValue(value: number): string {
  if (Number.isFinite(value)) return String(value);
  if (Number.isNaN(value)) return "NaN";
  return value > 0 ? "+Inf" : "-Inf";
}
