/** One series of a scrape. */
export interface Series {
  readonly name: string;
  readonly type: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([^ ]+)$/s;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/y;

/** Reads Prometheus' text format as its parser does. Throws for whatever that would refuse. */
export function parseMetrics(text: string): Series[] {
  if (!text.endsWith("\n")) throw new Error("The last line does not end.");
  const types = new Map<string, string>();
  const series: Series[] = [];
  const seen = new Set<string>();
  for (const line of text.slice(0, -1).split("\n")) {
    const [mark, word, name = "", ...rest] = line.split(" ");
    if (mark === "#") {
      if (word !== "TYPE") continue;
      if (types.has(name)) throw new Error(`${name} has two types.`);
      types.set(name, rest.join(" "));
      continue;
    }
    const [, of = "", labels = "", value = ""] = SAMPLE.exec(line) ?? [];
    const type = types.get(of);
    if (type !== "counter" && type !== "gauge") throw new Error(`What is this? ${line}`);
    const key = line.slice(0, line.lastIndexOf(" "));
    if (seen.has(key)) throw new Error(`${key} comes twice.`);
    seen.add(key);
    series.push({ name: of, type, labels: parseLabels(labels), value: parseValue(value) });
  }
  return series;
}

/** The sum of the series that have these labels. */
export function sumOf(
  series: readonly Series[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  return series
    .filter((each) => each.name === name)
    .filter((each) => Object.entries(labels).every(([key, value]) => each.labels[key] === value))
    .reduce((sum, { value }) => sum + value, 0);
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const [whole, name = "", value = ""] = LABEL.exec(text) ?? [];
    if (whole === undefined) throw new Error(`These are no labels: ${text}`);
    labels[name] = value.replace(/\\(["\\n])/g, (_, letter) => (letter === "n" ? "\n" : letter));
  }
  return labels;
}

function parseValue(text: string): number {
  if (text === "+Inf") return Number.POSITIVE_INFINITY;
  if (text === "-Inf") return Number.NEGATIVE_INFINITY;
  const value = Number(text);
  if (Number.isNaN(value) && text !== "NaN") throw new Error(`${text} is no number.`);
  return value;
}
