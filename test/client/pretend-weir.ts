import { createSecureServer, createServer, type ServerHttp2Session } from "node:http2";
import { type Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { AdminService } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { UsageService } from "../../gen/weir/admin/v1/usage_service_pb.ts";
import { ChatService } from "../../gen/weir/v1/chat_service_pb.ts";
import { EmbedService } from "../../gen/weir/v1/embed_service_pb.ts";
import { ModelService } from "../../gen/weir/v1/model_service_pb.ts";

/** What the pretended Weir answers; what is left out is unimplemented. */
export interface Answers {
  readonly chat?: Partial<ServiceImpl<typeof ChatService>>;
  readonly embed?: Partial<ServiceImpl<typeof EmbedService>>;
  readonly models?: Partial<ServiceImpl<typeof ModelService>>;
  readonly admin?: Partial<ServiceImpl<typeof AdminService>>;
  readonly usage?: Partial<ServiceImpl<typeof UsageService>>;
}

/** A Weir in small, over real sockets. */
export interface PretendWeir {
  readonly port: number;
  readonly address: string;
  /** Cuts every connection and stops listening. */
  close(): Promise<void>;
}

/** Where it listens. */
export interface Place {
  readonly host?: string;
  readonly port?: number;
  readonly tls?: { readonly cert: string; readonly key: string };
}

export async function openPretendWeir(
  answers: Answers,
  { host = "127.0.0.1", port = 0, tls }: Place = {},
): Promise<PretendWeir> {
  const handler = connectNodeAdapter({
    routes: (router) => {
      router.service(ChatService, answers.chat ?? {});
      router.service(EmbedService, answers.embed ?? {});
      router.service(ModelService, answers.models ?? {});
      router.service(AdminService, answers.admin ?? {});
      router.service(UsageService, answers.usage ?? {});
    },
  });
  const sessions = new Set<ServerHttp2Session>();
  const server = tls === undefined ? createServer(handler) : createSecureServer(tls, handler);
  server.on("session", (session: ServerHttp2Session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const bound = server.address();
  const actual = typeof bound === "object" && bound !== null ? bound.port : 0;
  return {
    port: actual,
    address: `${tls === undefined ? "http" : "https"}://${host}:${actual}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const session of sessions) session.destroy();
      }),
  };
}

/** An error as Weir sends it. */
export function createRpcError(
  code: Code,
  reason: string,
  options: { readonly message?: string; readonly retryMs?: number } = {},
): ConnectError {
  const { message = `It is ${reason}.`, retryMs } = options;
  const info = {
    desc: ErrorInfoSchema,
    value: { reason, domain: "weir", metadata: { policy: "policies/p" } },
  };
  const retry = {
    desc: RetryInfoSchema,
    value: {
      retryDelay: {
        seconds: BigInt(Math.floor((retryMs ?? 0) / 1000)),
        nanos: ((retryMs ?? 0) % 1000) * 1e6,
      },
    },
  };
  const headers = { "x-request-id": "req_1" };
  const details = retryMs === undefined ? [info] : [info, retry];
  return new ConnectError(message, code, headers, details);
}
