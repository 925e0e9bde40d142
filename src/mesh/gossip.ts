import type { ProxyState } from "./hub.ts";

/**
 * How control processes of one installation tell each other which proxies are joined to them. What
 * is said may get lost, and is said again.
 */
export interface Gossip {
  /** Tells all others which proxies are joined to this process; replaces what it said before. */
  say(proxies: readonly ProxyState[]): void;
  /** Calls `listener` with what another process says. Returns how to stop. */
  hear(listener: (from: string, proxies: readonly ProxyState[]) => void): () => void;
}
