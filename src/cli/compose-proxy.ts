import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { createCatalogue } from "../catalogue/catalogue.ts";
import { createDoors } from "../ingress/doors.ts";
import type { House } from "../ingress/house.ts";
import { openPort, type Port, type PortCertificate } from "../ingress/port.ts";
import { createRestDoor } from "../ingress/rest/door.ts";
import { type AdminRelay, createAdminRelay, type RelayTarget } from "../ingress/rpc/admin-relay.ts";
import { openJournal } from "../link/journal.ts";
import { createProxyLink, type ProxyLink } from "../link/proxy-end.ts";
import { openSnapshotFile } from "../link/snapshot-file.ts";
import type { Clock } from "../mesh/clock.ts";
import { systemRandom } from "../mesh/random.ts";
import type { SnapshotHolder } from "../mesh/snapshot-holder.ts";
import type { Log } from "../telemetry/log.ts";
import { type Address, formatAddress, reachableAddress } from "./address.ts";
import { adoptSiblings } from "./adopt-siblings.ts";
import type { Environment } from "./command.ts";
import { composeHouse } from "./compose-house.ts";
import { ProxyMetrics } from "./compose-metrics.ts";
import { openQuota } from "./compose-quota.ts";
import { version } from "./version.ts";

/** How soon a secret that was changed in its file is used. */
const SECRETS_MS = 30_000;
/** How long an administrator's request may go on while the proxy drains. */
const RELAY_GRACE_MS = 2_000;

/** What a proxy process is started with. */
export interface ProxyPlan {
  readonly listen: Address;
  /** Several processes of this machine listen at the same address. */
  readonly sharePort: boolean;
  readonly tls: PortCertificate | undefined;
  /** Where control processes listen; one of them is used at a time. */
  readonly control: readonly Address[];
  readonly controlCa: Buffer | undefined;
  readonly token: string;
  readonly dataDir: string;
  readonly proxyId: string;
  /**
   * Takes over the journals and the watermarks of sibling directories numbered from here on, whose
   * proxies will not return.
   */
  readonly adoptBeyond: number | undefined;
  readonly corsOrigins: readonly string[];
  /** True to show metrics to anybody. */
  readonly metricsOpen: boolean;
  /** Connections of clients that are open at once. */
  readonly maxConnections: number;
  readonly clock: Clock;
  readonly env: Environment;
  readonly log: Log;
}

/** A running proxy process. */
export interface RunningProxy {
  readonly port: Port;
  stop(graceMs: number): Promise<void>;
}

/**
 * Joins journal, link, house and doors, and opens the port. It serves from its last snapshot while
 * control is away.
 */
export async function startProxy(plan: ProxyPlan): Promise<RunningProxy> {
  const { clock, log, dataDir } = plan;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const journal = await openJournal({
    directory: join(dataDir, "journal"),
    proxyId: plan.proxyId,
    clock,
    log,
  });
  const siblings = await adoptSiblings(plan, journal);
  const quota = await openQuota({ dataDir, journal, siblings, clock, log });
  const metrics = new ProxyMetrics(plan, journal, quota.room.counters);
  let draining = false;
  let link: ProxyLink | undefined;
  const { house, holder, upstream } = composeHouse({
    clock,
    random: systemRandom,
    env: plan.env,
    readFile: (path) => readFileSync(path, "utf8").trim(),
    catalogue: createCatalogue(clock),
    note: journal.note,
    quota: quota.room,
    metrics,
    metricsOpen: plan.metricsOpen,
    faults: () => listFaults(journal, quota.room),
    draining: () => draining,
  });
  const snapshotFile = await openSealedSnapshot(plan, holder);
  // Admin requests go to the control process that this proxy gets its policy from.
  const controls = new Map(plan.control.map((each) => [formatControl(each), each]));
  const relay = createAdminRelay({ target: () => findRelayTarget(plan, controls, link), clock });
  const port = await openDoors(plan, house, relay);
  metrics.watch(port);
  link = createProxyLink({
    addresses: [...controls.keys()],
    token: plan.token,
    proxyId: plan.proxyId,
    version,
    epoch: journal.epoch,
    listen: () => formatAddress({ host: plan.listen.host, port: port.port }),
    holder,
    journal,
    quota: quota.room,
    random: systemRandom,
    clock,
    log,
    ...(plan.controlCa === undefined ? {} : { tls: { ca: plan.controlCa } }),
  });
  const secrets = clock.every(SECRETS_MS, () => holder.refreshSecrets());
  return {
    port,
    stop: async (graceMs) => {
      draining = true;
      secrets.cancel();
      // Tails and other streams of administrators have no end of their own to wait for.
      const impatience = clock.after(RELAY_GRACE_MS, () => relay.close());
      await port.drain(graceMs);
      impatience.cancel();
      await quota.close();
      link?.close();
      relay.close();
      await snapshotFile.close();
      await upstream.destroy();
      await journal.close();
      metrics.close();
    },
  };
}

/** The policy that was served last, and from now on each that follows. */
function openSealedSnapshot({ dataDir, token, clock, log }: ProxyPlan, holder: SnapshotHolder) {
  return openSnapshotFile({ path: join(dataDir, "snapshot.sealed"), token, holder, clock, log });
}

function openDoors(plan: ProxyPlan, house: House, adminRelay: AdminRelay): Promise<Port> {
  const { clock, log, corsOrigins } = plan;
  const rest = createRestDoor(house, {
    failed: (error, requestId) => log.error({ requestId, fault: error.details.internal }, "fault"),
  });
  const doors = createDoors({ house, rest, adminRelay, corsOrigins });
  return openPort({
    ...plan.listen,
    reusePort: plan.sharePort,
    ...(plan.tls === undefined ? {} : { tls: plan.tls }),
    clock,
    maxConnections: plan.maxConnections,
    http1: doors.http1,
    http2: doors.http2,
    failed: (error) => log.error({ fault: inspect(error) }, "fault"),
  });
}

/** As the link names it. */
function formatControl(address: Address): string {
  return formatAddress(reachableAddress(address));
}

function findRelayTarget(
  plan: ProxyPlan,
  controls: ReadonlyMap<string, Address>,
  link: ProxyLink | undefined,
): RelayTarget | undefined {
  const address = controls.get(link?.address ?? "") ?? plan.control[0];
  if (address === undefined) return undefined;
  const reachable = reachableAddress(address);
  return plan.controlCa === undefined ? reachable : { ...reachable, ca: plan.controlCa };
}

function listFaults(...parts: readonly { fault(): string | undefined }[]): string[] {
  return parts.map((part) => part.fault()).filter((fault) => fault !== undefined);
}
