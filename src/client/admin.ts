import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import {
  compressionGzip,
  createGrpcTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { AdminService } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { UsageService } from "../../gen/weir/admin/v1/usage_service_pb.ts";
import { readSettings, type WeirClientOptions } from "./options.ts";

export { asWeirError } from "./connect-errors.ts";

/** The typed clients of policy and ledger, through the same address as everything else. */
export interface WeirAdminClient {
  /** Edits resources and policies. Its errors are ConnectErrors; `asWeirError` reads them. */
  readonly admin: Client<typeof AdminService>;
  /** Reads the ledger. */
  readonly usage: Client<typeof UsageService>;
  /** Ends the connection. Calls under way fail. */
  close(): void;
}

/**
 * What an administrative client is made with; nothing is retried, since writes may have been done.
 */
export type WeirAdminClientOptions = Pick<
  WeirClientOptions,
  "address" | "key" | "defaultTimeoutMs" | "keepalive" | "tls"
>;

/**
 * Throws a TypeError that says which option is wrong. Opens no connection before the first call.
 */
export function createAdminClient(options: WeirAdminClientOptions): WeirAdminClient {
  const { url, key, defaultTimeoutMs, keepalive, tls } = readSettings({
    defaultTimeoutMs: 30_000,
    ...options,
  });
  const baseUrl = url.href.replace(/\/$/, "");
  const ping =
    keepalive === undefined
      ? {}
      : { pingIntervalMs: keepalive.intervalMs, pingTimeoutMs: keepalive.timeoutMs };
  const session = new Http2SessionManager(baseUrl, ping, { ...tls });
  const authorize: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${key()}`);
    return next(request);
  };
  const transport = createGrpcTransport({
    baseUrl,
    sessionManager: session,
    interceptors: [authorize],
    acceptCompression: [compressionGzip],
    defaultTimeoutMs,
  });
  return {
    admin: createClient(AdminService, transport),
    usage: createClient(UsageService, transport),
    close: () => session.abort(),
  };
}
