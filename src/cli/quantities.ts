import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { formatNanoUsd } from "../ingress/rest/decimal.ts";
import { UsageError } from "./usage-error.ts";

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** A span such as `90s`, `24h` or `7d` in milliseconds. Throws UsageError. */
export function parseSpan(option: string, text: string): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/.exec(text.trim()) ?? [];
  const ms = Number(number) * (unitMs[unit] ?? Number.NaN);
  if (number === "" || !Number.isSafeInteger(Math.round(ms))) {
    throw new UsageError(`--${option}: "${text}" is no span of time: write 90s, 30m, 24h or 7d`);
  }
  return Math.round(ms);
}

/**
 * A moment: a date, a time (RFC 3339), or a span before now; with `after`, a span after now. In
 * milliseconds since 1970. Throws UsageError.
 */
export function parseMoment(
  option: string,
  text: string,
  { nowMs, after = false }: { readonly nowMs: number; readonly after?: boolean },
): number {
  if (/^\d+(?:\.\d+)?[a-z]+$/.test(text.trim())) {
    return nowMs + (after ? 1 : -1) * parseSpan(option, text);
  }
  const ms = /^\d{4}-\d{2}-\d{2}(?:[T ]|$)/.test(text.trim())
    ? Date.parse(text.trim())
    : Number.NaN;
  if (Number.isNaN(ms)) {
    throw new UsageError(
      `--${option}: "${text}" is no time: write a span such as 7d, a date or 2026-01-31T12:00:00Z`,
    );
  }
  return ms;
}

export function toTimestamp(ms: number): Timestamp {
  return timestampFromMs(ms);
}

export function toDuration(ms: number): Pick<Duration, "seconds" | "nanos"> {
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 };
}

/** Nano-USD in dollars, exactly: `$0.00015`. */
export function formatCost(nanoUsd: bigint): string {
  return nanoUsd < 0n ? `-$${formatNanoUsd(-nanoUsd)}` : `$${formatNanoUsd(nanoUsd)}`;
}

/** A whole number with a mark at each thousand. */
export function formatCount(count: bigint | number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/** Microseconds as people say them: `850µs`, `12ms`, `1.4s`, `2m05s`. */
export function formatMicroseconds(us: bigint | number): string {
  const value = Number(us);
  if (value < 1000) return `${Math.round(value)}µs`;
  if (value < 10_000) return `${(value / 1000).toFixed(1)}ms`;
  if (value < 999_500) return `${Math.round(value / 1000)}ms`;
  if (value < 59_950_000) return `${(value / 1e6).toFixed(1)}s`;
  const seconds = Math.round(value / 1e6);
  return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, "0")}s`;
}

/** A time in UTC to the second; `-` for none. */
export function formatTime(time: Timestamp | undefined): string {
  if (time === undefined) return "-";
  return timestampDate(time).toISOString().slice(0, 19).replace("T", " ");
}
