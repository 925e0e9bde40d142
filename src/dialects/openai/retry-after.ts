import type { UpstreamHeaders } from "../../mesh/upstream.ts";

/** Nobody waits longer than a day; a header that says so is wrong. */
const RETRY_AFTER_MS_MAX = 86_400_000;

/**
 * When a vendor wants to see us again, in milliseconds: `retry-after-ms`, `retry-after` (seconds or
 * a date, measured from the response's own `date`), or the reset of the limit that is used up.
 * Undefined when it does not say.
 */
export function readRetryAfter(headers: UpstreamHeaders): number | undefined {
  const ms = Number.parseFloat(first(headers["retry-after-ms"]));
  if (ms >= 0) return cap(ms);
  const after = first(headers["retry-after"]);
  if (/^\d+(\.\d+)?$/.test(after)) return cap(Number(after) * 1000);
  const until = Date.parse(after) - Date.parse(first(headers.date));
  if (after !== "" && Number.isFinite(until)) return cap(until);
  return readLimitReset(headers);
}

function readLimitReset(headers: UpstreamHeaders): number | undefined {
  const resets: number[] = [];
  for (const dimension of ["requests", "tokens"]) {
    const reset = parseDuration(first(headers[`x-ratelimit-reset-${dimension}`]));
    if (reset === undefined) continue;
    if (first(headers[`x-ratelimit-remaining-${dimension}`]) === "0") return cap(reset);
    resets.push(reset);
  }
  return resets.length === 0 ? undefined : cap(Math.max(...resets));
}

const UNIT_MS = new Map([
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

/** `6m0s`, `20ms`, `1h2m3.5s`, or plain seconds → milliseconds. */
export function parseDuration(text: string): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    sum += Number(number) * (UNIT_MS.get(unit ?? "") ?? 0);
  }
  return sum;
}

function first(value: string | string[] | undefined): string {
  return (typeof value === "string" ? value : value?.[0])?.trim() ?? "";
}

function cap(ms: number): number {
  return Math.min(Math.max(0, Math.ceil(ms)), RETRY_AFTER_MS_MAX);
}
