import { mkdirSync } from "node:fs";
import { inspect } from "node:util";
import type { ConnectRouter } from "@connectrpc/connect";
import { compressionGzip, connectNodeAdapter } from "@connectrpc/connect-node";
import { deriveWebhookSecret } from "../control/alert-message.ts";
import type { BootstrapReport } from "../control/bootstrap.ts";
import { createControl } from "../control/control.ts";
import { createJointRegistry, type LocalRegistry } from "../control/joint-registry.ts";
import { startRetention } from "../control/retention.ts";
import { createSealer, loadSecretKey } from "../control/sealer.ts";
import { createH2Exchange } from "../ingress/h2/h2-exchange.ts";
import type { HttpExchange } from "../ingress/http-exchange.ts";
import { inNodeForm } from "../ingress/node-form.ts";
import { asNodePair } from "../ingress/node-pair.ts";
import { openPort, type Port, type PortCertificate } from "../ingress/port.ts";
import { createLinkService } from "../link/control-end.ts";
import type { Clock } from "../mesh/clock.ts";
import type { ProxyRegistry } from "../mesh/hub.ts";
import type { LocalEngine } from "../providers/find-local-engines.ts";
import type { Log } from "../telemetry/log.ts";
import type { Address } from "./address.ts";
import type { Environment } from "./command.ts";
import { ControlMetrics } from "./compose-control-metrics.ts";
import { answerMetrics, type MetricsPage } from "./control-page.ts";
import { defaultMaxConnections, readDescriptorLimit } from "./max-connections.ts";
import { openStore } from "./open-store.ts";

/**
 * A link message carries at most a batch of records or a part of a snapshot; both ends cut far
 * below this.
 */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

const OWN_SECRET_KEY =
  "secrets are sealed by the file secret.key of this data directory: to run more than one control " +
  "process on this database, give all of them the same WEIR_SECRET_KEY";

/** What a control process is started with. */
export interface ControlPlan {
  readonly listen: Address;
  readonly tls: PortCertificate | undefined;
  readonly dataDir: string;
  /** A Postgres, which other control processes may share; undefined means a file of its own. */
  readonly databaseUrl: string | undefined;
  /** How long the records of requests are kept; undefined means for ever. */
  readonly retainDays: number | undefined;
  readonly token: string;
  /** True to show metrics to anybody. */
  readonly metricsOpen: boolean;
  /** Looks for engines on this machine; asked at the first start only. */
  findEngines(): Promise<readonly LocalEngine[]>;
  readonly clock: Clock;
  readonly env: Environment;
  readonly log: Log;
}

/** A running control process. */
export interface RunningControl {
  readonly port: Port;
  /** What the first start made; nothing at later ones. */
  readonly report: BootstrapReport;
  stop(): Promise<void>;
}

/** Opens the store, migrates it, fills it when it is new, and serves Admin, usage and the link. */
export async function startControl(plan: ControlPlan): Promise<RunningControl> {
  const { clock, log, dataDir } = plan;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const store = await openStore(plan);
  if (plan.databaseUrl !== undefined && !plan.env.WEIR_SECRET_KEY) {
    log.warn({ dataDir }, OWN_SECRET_KEY);
  }
  const applied = await store.migrate();
  if (applied.length > 0) log.info({ versions: applied }, "schema brought up to date");
  // The control plane waits for confirmations of the link, and the link reads from the control
  // plane.
  const registry = createLateRegistry();
  const secretKey = loadSecretKey(plan.env.WEIR_SECRET_KEY, dataDir);
  const control = await createControl({
    store,
    clock,
    sealer: createSealer(secretKey),
    webhookSecret: deriveWebhookSecret(secretKey),
    registry,
    onFault: (text) => log.error({}, text),
    onNotice: (text) => log.warn({}, text),
  });
  const { retainDays } = plan;
  const onFault = (text: string) => log.error({}, text);
  const stopRetention =
    retainDays === undefined
      ? undefined
      : startRetention({ store, clock, days: retainDays, onFault });
  const metrics = new ControlMetrics(clock);
  const link = createLinkService({
    hub: metrics.watch(control.hub),
    token: plan.token,
    clock,
    log,
  });
  const peers = await joinPeers(plan, link.registry);
  registry.bind(peers.registry);
  const engines = (await store.revision()) === 0 ? await plan.findEngines() : [];
  const report = await control.bootstrap({ env: plan.env, engines });
  const page: MetricsPage = {
    admit: (headers) => {
      if (!plan.metricsOpen) control.admitReader(headers);
    },
    read: () => metrics.read({ control, registry: link.registry, port }),
  };
  const routes = (router: ConnectRouter) => {
    control.routes(router);
    link.routes(router);
  };
  const port = await openControlPort(plan, routes, page);
  return {
    port,
    report,
    stop: async () => {
      stopRetention?.();
      await peers.leave();
      link.close();
      control.close();
      metrics.close();
      await port.drain(5_000);
      await store.close();
    },
  };
}

/** What is known of proxies, by all control processes of a database together. */
interface Peers {
  readonly registry: ProxyRegistry;
  leave(): Promise<void>;
}

async function joinPeers(
  { databaseUrl, clock }: ControlPlan,
  local: LocalRegistry,
): Promise<Peers> {
  if (databaseUrl === undefined) return { registry: local, leave: () => Promise.resolve() };
  // Its driver is loaded by those who use it.
  const { openPostgresGossip } = await import("../store/postgres-gossip.ts");
  const gossip = openPostgresGossip(databaseUrl, clock);
  const registry = createJointRegistry(local, gossip, clock);
  return {
    registry,
    leave: async () => {
      registry.close();
      await gossip.close();
    },
  };
}

function openControlPort(
  { listen, tls, clock, log }: ControlPlan,
  routes: (router: ConnectRouter) => void,
  page: MetricsPage,
): Promise<Port> {
  const serve = connectNodeAdapter({
    routes,
    acceptCompression: [compressionGzip],
    readMaxBytes: MESSAGE_BYTES_MAX,
    writeMaxBytes: MESSAGE_BYTES_MAX,
  });
  const handle = (exchange: HttpExchange) =>
    inNodeForm(exchange, (request, response) => {
      if (answerMetrics(page, request, response)) return;
      const node = asNodePair(request, response);
      serve(node.request, node.response);
    });
  return openPort({
    ...listen,
    reusePort: false,
    ...(tls === undefined ? {} : { tls }),
    clock,
    maxConnections: defaultMaxConnections(readDescriptorLimit()),
    http1: handle,
    http2: (stream, headers) => handle(createH2Exchange(stream, headers)),
    failed: (error) => log.error({ fault: inspect(error) }, "fault"),
  });
}

function createLateRegistry(): ProxyRegistry & { bind(registry: ProxyRegistry): void } {
  let bound: ProxyRegistry | undefined;
  return {
    bind: (registry) => {
      bound = registry;
    },
    list: () => bound?.list() ?? [],
    waitForRevision: async (revision, waitMs) =>
      (await bound?.waitForRevision(revision, waitMs)) ?? {
        confirmed: 0,
        connected: 0,
        refusals: [],
      },
  };
}
