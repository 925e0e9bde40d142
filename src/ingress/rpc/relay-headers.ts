import { MeshError } from "../../mesh/errors.ts";

/** Fields that speak of one connection and not of the message, so that no relay passes them on. */
const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * Whether a field stays with its connection. `connection` is that field's own value, which may name
 * others.
 */
export function isHopByHop(name: string, connection: string | undefined): boolean {
  const lower = name.toLowerCase();
  if (hopByHop.has(lower)) return true;
  if (connection === undefined) return false;
  return connection.split(",").some((named) => named.trim().toLowerCase() === lower);
}

/** What callers are told while the control process cannot be reached. */
export function createUnreachableError(cause?: unknown): MeshError {
  return new MeshError(
    "UNAVAILABLE",
    "The control process cannot be reached, so nothing can be administered. Models still answer.",
    { cause, retryAfterMs: 1000 },
  );
}
