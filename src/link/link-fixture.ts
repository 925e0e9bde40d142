import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { type Resource, ResourceSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import { systemClock } from "../mesh/clock.ts";
import type { EncodedBatch } from "../mesh/encoded-batch.ts";
import type { Hub } from "../mesh/hub.ts";
import type { SnapshotChange } from "../mesh/snapshot.ts";
import { createSnapshotHolder, type SnapshotHolder } from "../mesh/snapshot-holder.ts";
import { createLinkService, type LinkServer } from "./control-end.ts";
import { type Journal, openJournal } from "./journal.ts";
import { createProxyLink, type ProxyLink, type ProxyLinkOptions } from "./proxy-end.ts";

/**
 * For the tests of the link: control planes and proxies joined over real sockets, taken down
 * together.
 */
export class LinkFixture {
  readonly #cleanups: (() => Promise<void> | void)[] = [];

  async directory(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), "weir-link-"));
    this.#cleanups.push(() => rm(path, { recursive: true, force: true }));
    return path;
  }

  /** Starts a control plane; `port` 0 takes any. */
  async control(hub: Hub, port = 0, token = "the-token"): Promise<RunningControl> {
    const link = createLinkService({ hub, token, clock: systemClock, log: silent });
    const server = createServer(connectNodeAdapter({ routes: (router) => link.routes(router) }));
    const sessions = new Set<ServerHttp2Session>();
    server.on("session", (session) => {
      sessions.add(session);
      session.on("close", () => sessions.delete(session));
    });
    const bound = await listen(server, port);
    const stop = async () => {
      link.close();
      for (const session of sessions) session.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    };
    this.#cleanups.push(stop);
    return { link, port: bound, address: `127.0.0.1:${bound}`, stop };
  }

  async proxy(
    addresses: readonly string[],
    more: Partial<ProxyLinkOptions> & { readonly directory?: string } = {},
  ): Promise<RunningProxy> {
    const directory = more.directory ?? (await this.directory());
    const proxyId = more.proxyId ?? "p1";
    const journal = await openJournal({ directory, proxyId, clock: systemClock, log: silent });
    const holder = more.holder ?? createHolder();
    const link = createProxyLink({
      addresses,
      token: "the-token",
      proxyId,
      epoch: journal.epoch,
      version: "test",
      listen: () => "127.0.0.1:1",
      clock: systemClock,
      log: silent,
      random: { unit: () => 0.2 },
      ...more,
      holder,
      journal,
    });
    let stopped = false;
    const stop = async () => {
      if (stopped) return;
      stopped = true;
      link.close();
      await journal.close();
    };
    this.#cleanups.push(stop);
    return { link, holder, journal, stop };
  }

  async cleanUp(): Promise<void> {
    for (const cleanup of this.#cleanups.splice(0).reverse()) await cleanup();
  }
}

export interface RunningControl {
  readonly link: LinkServer;
  readonly port: number;
  readonly address: string;
  stop(): Promise<void>;
}

export interface RunningProxy {
  readonly link: ProxyLink;
  readonly holder: SnapshotHolder;
  readonly journal: Journal;
  stop(): Promise<void>;
}

export const silent = { info: () => undefined, warn: () => undefined };

export function createHolder(): SnapshotHolder {
  return createSnapshotHolder({ env: {}, readFile: () => "", findPrice: () => undefined });
}

export function team(id: string, displayName = ""): Resource {
  return create(ResourceSchema, {
    resource: { case: "team", value: { name: `teams/${id}`, displayName } },
  });
}

export function provider(id: string, dialect = "sim", secret = ""): Resource {
  return create(ResourceSchema, {
    resource: {
      case: "provider",
      value: {
        name: `providers/${id}`,
        dialect,
        ...(secret === "" ? {} : { credential: { source: { case: "secret", value: secret } } }),
      },
    },
  });
}

/** A control plane's insides, in memory. */
export class MemoryHub implements Hub {
  readonly installationId: string;
  readonly #listeners = new Set<(revision: number) => void>();
  readonly #changes: SnapshotChange[] = [];
  /** Each request's record, as often as it came. */
  readonly records: RequestRecord[] = [];
  /** Every revision that a proxy was brought to, with what it built on. */
  readonly sent: { readonly base: number; readonly revision: number }[] = [];
  /** What the store does with records, beside keeping them. */
  onAppend: () => Promise<void> = () => Promise.resolve();

  constructor(installationId = "inst") {
    this.installationId = installationId;
  }

  get revision(): number {
    return this.#changes.length;
  }

  get ids(): Set<string> {
    return new Set(this.records.map((record) => record.requestId));
  }

  commit(upserts: readonly Resource[], deletions: readonly string[] = []): number {
    const { installationId, revision } = this;
    this.#changes.push({
      revision: revision + 1,
      baseRevision: revision,
      installationId,
      upserts,
      deletions,
    });
    for (const listener of this.#listeners) listener(this.revision);
    return this.revision;
  }

  async changeSince(revision: number): Promise<SnapshotChange | undefined> {
    if (revision === this.revision) return undefined;
    const known = revision > 0 && revision < this.revision;
    const base = known ? revision : 0;
    const gathered = new Map<string, Resource | undefined>();
    for (const change of this.#changes.slice(base)) {
      for (const name of change.deletions) gathered.set(name, undefined);
      for (const one of change.upserts) gathered.set(one.resource.value?.name ?? "", one);
    }
    this.sent.push({ base, revision: this.revision });
    return {
      revision: this.revision,
      baseRevision: base,
      installationId: this.installationId,
      upserts: [...gathered.values()].filter((one) => one !== undefined),
      deletions: [...gathered].flatMap(([name, one]) => (one === undefined ? [name] : [])),
    };
  }

  onCommit(listener: (revision: number) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async appendRecords(batch: EncodedBatch): Promise<void> {
    await this.onAppend();
    this.records.push(...batch.decode());
  }
}

function listen(server: Http2Server, port: number): Promise<number> {
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}
