import { readFileSync } from "node:fs";
import type { OptionSpec } from "./read-options.ts";

/** More are of no use to one core, and take a gigabyte. */
const DEFAULT_MAX = 20_000;

/** The option of commands that run proxies. */
export const maxConnectionsOption: OptionSpec = {
  value: "N",
  help: `connections that a worker has open at once; default: half of its descriptors, ${DEFAULT_MAX} at most`,
  env: "WEIR_MAX_CONNECTIONS",
};

/** The most that may be asked for. */
export const CONNECTIONS_CAP = 10_000_000;

/**
 * What a worker can serve: a request may take two descriptors, one for its caller and one for an
 * upstream.
 */
export function defaultMaxConnections(descriptors: number | undefined): number {
  if (descriptors === undefined) return DEFAULT_MAX;
  return Math.max(1, Math.min(DEFAULT_MAX, Math.floor(descriptors / 2)));
}

/** How many descriptors this process may have open; undefined where the system does not tell. */
export function readDescriptorLimit(read = readLimits): number | undefined {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(read()) ?? [];
  return soft === undefined ? undefined : Number(soft);
}

function readLimits(): string {
  try {
    return readFileSync("/proc/self/limits", "utf8");
  } catch {
    return "";
  }
}
