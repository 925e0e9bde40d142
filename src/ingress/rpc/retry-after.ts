import type { MeshError } from "../../mesh/errors.ts";

/**
 * What `retry-after` says of an error over HTTP, in seconds, at least one; undefined when it is
 * none that passes.
 */
export function retryAfterSeconds(error: MeshError): number | undefined {
  const { http } = error.row;
  if (http !== 429 && http !== 503) return undefined;
  return Math.max(1, Math.ceil((error.details.retryAfterMs ?? DEFAULT_MS) / 1000));
}

const DEFAULT_MS = 1000;
