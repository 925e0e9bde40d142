import type { IncomingHttpHeaders } from "node:http";
import type { ChatAsk } from "../../mesh/ask.ts";

/** Fields of Anthropic's own that say how the body is to be read: they belong to it. */
const FIELDS = ["anthropic-version", "anthropic-beta"] as const;

/**
 * Gives an ask those header fields that its upstream must see. All others are the caller's business
 * with Weir, and stay here.
 */
export function withWireHeaders(ask: ChatAsk, headers: IncomingHttpHeaders): ChatAsk {
  let found: Record<string, string> | undefined;
  for (const name of FIELDS) {
    const value = headers[name];
    if (typeof value !== "string" || value === "") continue;
    found ??= {};
    found[name] = value;
  }
  return found === undefined ? ask : Object.assign(ask, { wireHeaders: found });
}
