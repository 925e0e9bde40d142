import { UsageError } from "./usage-error.ts";

/** A place to listen at or to call. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * `HOST:PORT`, `[::1]:PORT` or `:PORT` (every interface). Throws UsageError, which says what is
 * written instead.
 */
export function parseAddress(text: string): Address {
  const found = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text.trim());
  const port = Number(found?.[3]);
  if (found === null || port > 65_535) {
    throw new UsageError(`"${text}" is no address: write HOST:PORT, such as 127.0.0.1:8080`);
  }
  return { host: found[1] || found[2] || "0.0.0.0", port };
}

/** An address as people write it. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The address under which something that listens everywhere can be reached from here. */
export function reachableAddress({ host, port }: Address): Address {
  if (host === "0.0.0.0") return { host: "127.0.0.1", port };
  if (host === "::") return { host: "::1", port };
  return { host, port };
}

/** Whether only this machine can reach it. */
export function isLoopback({ host }: Address): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
