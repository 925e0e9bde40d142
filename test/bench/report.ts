import type { Rounds } from "./rounds.ts";
import { cpuPerEvent, cpuPerRequest } from "./rounds.ts";
import { judge, type Row } from "./row.ts";
import type { Trial } from "./trials.ts";

/** The rows as a table for people. */
export function formatRows(title: string, rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const { promise } = row;
    const sign = promise?.rising === true ? "≥" : "≤";
    return [
      row.name,
      formatValue(row.value, row),
      promise === undefined ? "" : `${sign} ${promise.goal}`,
      promise === undefined ? "" : `${sign} ${promise.stretch}`,
      judge(row),
      row.note,
    ];
  });
  return formatTable([[title, "value", "goal", "stretch", "reached", ""], ...lines]);
}

/** What each trial came to, medians over the rounds. */
export function formatTrials(trials: readonly Trial[], rounds: Rounds): string {
  const lines = trials.flatMap((trial) => {
    const tell = (compute: Parameters<Rounds["summarise"]>[1], digits: number) => {
      const found = rounds.summarise([trial.name], compute);
      return found === undefined
        ? ""
        : `${found.value.toFixed(digits)}${found.disturbed ? "?" : ""}`;
    };
    const rate = tell((result) => result.rate, 0);
    if (rate === "") return [];
    return [
      [
        trial.name,
        rate,
        tell(cpuPerRequest, 1),
        trial.form.endsWith("-stream") ? tell(cpuPerEvent, 2) : "",
        tell((result) => result.serverCpuUs / 1e6 / result.seconds, 2),
        tell((result) => result.latency.p50, 2),
        tell((result) => result.latency.p99, 2),
        tell((result) => result.firstContent.p50, 2),
        tell((result) => result.firstContent.p99, 2),
        tell((result) => result.rssBytes / 1e6, 0),
        tell((result) => result.errors, 0),
      ],
    ];
  });
  const head = ["trial", "/s", "µs/request", "µs/event", "core", "p50 ms", "p99 ms"];
  return formatTable([[...head, "first p50", "first p99", "RSS MB", "errors"], ...lines]);
}

function formatValue(value: number | undefined, { unit }: Row): string {
  if (value === undefined) return "–";
  const digits = unit === "/s" || unit === "MB" || unit === "kB" ? 0 : 2;
  return `${value.toFixed(digits)} ${unit}`;
}

/** The first column to the left, the last as it is, all others to the right. */
function formatTable(lines: readonly (readonly string[])[]): string {
  const columns = Math.max(...lines.map((line) => line.length));
  const widths = Array.from({ length: columns }, (_, at) =>
    Math.max(...lines.map((line) => (line[at] ?? "").length)),
  );
  return lines
    .map((line) =>
      line
        .map((cell, at) =>
          at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
