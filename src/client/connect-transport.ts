import {
  compressionGzip,
  createConnectTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import type { Opened } from "./connect-caller.ts";
import { asWeirError } from "./connect-errors.ts";
import type { Settings } from "./options.ts";

/** A Connect transport over one HTTP/2 connection. */
export function openTransport({ url, key, keepalive, tls }: Settings): Opened {
  const baseUrl = url.href.replace(/\/$/, "");
  const ping =
    keepalive === undefined
      ? {}
      : { pingIntervalMs: keepalive.intervalMs, pingTimeoutMs: keepalive.timeoutMs };
  const session = new Http2SessionManager(baseUrl, ping, { ...tls });
  return {
    transport: createConnectTransport({
      baseUrl,
      httpVersion: "2",
      sessionManager: session,
      // The Brotli decoder of some Node releases is vulnerable.
      acceptCompression: [compressionGzip],
      useBinaryFormat: true,
    }),
    header: () => ({ authorization: `Bearer ${key()}` }),
    asWeirError,
    close: () => session.abort(),
  };
}
