import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Http2Server } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter, createGrpcTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { AdminService } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Role } from "../../gen/weir/admin/v1/team_pb.ts";
import { systemClock } from "../mesh/clock.ts";
import type { ProxyRegistry } from "../mesh/hub.ts";
import { openSqliteStore, type SqliteStore } from "../store/sqlite-store.ts";
import { createWebhookSecret } from "./alert-message.ts";
import { type Control, createControl } from "./control.ts";
import { createSealer, type Sealer } from "./sealer.ts";

export const adminSecret = `wk_${"a".repeat(40)}`;
export const firstSecret = `wk_${"f".repeat(40)}`;

/** A control plane on a real store behind a real socket, bootstrapped. */
export interface Trial {
  readonly control: Control;
  readonly store: SqliteStore;
  readonly sealer: Sealer;
  readonly address: string;
  readonly faults: string[];
  /** What the registry answers; tests may replace it. */
  registry: ProxyRegistry;
  /** A client of a service with a key; none sends no credential. */
  client<S extends DescService>(service: S, secret: string | undefined): Client<S>;
  /** A new key with a role, and its secret. */
  key(team: string, id: string, role: Role, user?: string): Promise<string>;
  close(): Promise<void>;
}

export async function openTrial(): Promise<Trial> {
  const dir = mkdtempSync(join(tmpdir(), "weir-control-"));
  const store = await openSqliteStore({ path: join(dir, "weir.db") });
  await store.migrate();
  const sealer = createSealer(new Uint8Array(32).fill(1));
  const faults: string[] = [];
  const registry: ProxyRegistry = {
    list: () => trial.registry.list(),
    waitForRevision: (revision, waitMs) => trial.registry.waitForRevision(revision, waitMs),
  };
  const control = await createControl({
    store,
    clock: systemClock,
    sealer,
    webhookSecret: createWebhookSecret(Buffer.alloc(24)),
    registry,
    onFault: (text) => faults.push(text),
  });
  const env = { WEIR_ADMIN_KEY: adminSecret, WEIR_BOOTSTRAP_KEY: firstSecret };
  await control.bootstrap({ env, engines: [] });
  const server = createServer(connectNodeAdapter({ routes: control.routes }));
  const address = await listen(server);
  const client = <S extends DescService>(service: S, secret: string | undefined): Client<S> => {
    const authorize: Interceptor = (next) => (request) => {
      if (secret !== undefined) request.header.set("authorization", `Bearer ${secret}`);
      return next(request);
    };
    const baseUrl = `http://${address}`;
    return createClient(service, createGrpcTransport({ baseUrl, interceptors: [authorize] }));
  };
  const trial: Trial = {
    control,
    store,
    sealer,
    address,
    faults,
    registry: {
      list: () => [],
      waitForRevision: async () => ({ confirmed: 0, connected: 0, refusals: [] }),
    },
    client,
    key: async (team, id, role, user = "") => {
      const admin = client(AdminService, adminSecret);
      const key = { name: `${team}/keys/${id}`, adminRole: role, user };
      return (await admin.createKey({ key })).secret;
    },
    close: async () => {
      control.close();
      server.close();
      for (const session of sessions(server)) session.destroy();
      await store.close();
      rmSync(dir, { recursive: true });
    },
  };
  return trial;
}

/** The reason of an error, as the caller finds it in ErrorInfo; "" when there was none. */
export async function reasonOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "";
  } catch (error) {
    const [info] = ConnectError.from(error).findDetails(ErrorInfoSchema);
    return info?.reason ?? String(error);
  }
}

/** The reasons of calls that are under way already. */
export function reasonsOf(calls: readonly Promise<unknown>[]): Promise<string[]> {
  return Promise.all(calls.map(reasonOf));
}

/** The message of an error; "" when there was none. */
export async function messageOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "";
  } catch (error) {
    return ConnectError.from(error).rawMessage;
  }
}

const open = new WeakMap<Http2Server, Set<{ destroy(): void }>>();

function sessions(server: Http2Server): Iterable<{ destroy(): void }> {
  return open.get(server) ?? [];
}

function listen(server: Http2Server): Promise<string> {
  const found = new Set<{ destroy(): void }>();
  open.set(server, found);
  server.on("session", (session) => {
    found.add(session);
    session.once("close", () => found.delete(session));
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("no port");
      resolve(`127.0.0.1:${address.port}`);
    });
  });
}
