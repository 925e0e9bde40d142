import { UsageError } from "./usage-error.ts";

/** `k=v` given several times, as an object. Throws UsageError. */
export function readLabels(option: string, pairs: readonly string[]): Record<string, string> {
  const labels = new Map<string, string>();
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at < 1) throw new UsageError(`--${option}: "${pair}" is no label: write NAME=VALUE`);
    labels.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return Object.fromEntries(labels);
}
