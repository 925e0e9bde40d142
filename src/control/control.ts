import type { ConnectRouter } from "@connectrpc/connect";
import { AdminService } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { UsageService } from "../../gen/weir/admin/v1/usage_service_pb.ts";
import type { Clock } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Hub, ProxyRegistry } from "../mesh/hub.ts";
import type { Store } from "../store/store.ts";
import { createAdminService } from "./admin-service.ts";
import type { WebhookSecret } from "./alert-message.ts";
import { type BootstrapOrder, type BootstrapReport, bootstrap } from "./bootstrap.ts";
import { createBroadcast } from "./broadcast.ts";
import { type Caller, identifyCaller } from "./caller.ts";
import { createGuard } from "./guard.ts";
import { readsEverything } from "./permissions.ts";
import { createPublisher } from "./publisher.ts";
import { type AlertCounters, createQuotaAlerts } from "./quota-alerts.ts";
import { createQuotaLedger, type QuotaCounters } from "./quota-ledger.ts";
import type { Sealer } from "./sealer.ts";
import { createUsageService } from "./usage-service.ts";
import { createWorldKeeper } from "./world.ts";
import { createWriter } from "./writer.ts";

/** The control plane of one process: its services, and what the link needs of it. */
export interface Control {
  readonly hub: Hub;
  /** Registers AdminService and UsageService. Each RPC asks for a key by itself. */
  routes(router: ConnectRouter): void;
  /** Fills an empty store; does nothing to another. Rejects with StoreError. */
  bootstrap(order: BootstrapOrder): Promise<BootstrapReport>;
  /** What has happened to quotas since the process began. */
  readonly quotaCounters: QuotaCounters;
  readonly alertCounters: AlertCounters;
  /** The newest revision that this process knows of. */
  readonly revision: number;
  /**
   * Throws CREDENTIAL_* and PERMISSION_DENIED unless headers carry the key of somebody who reads
   * everything.
   */
  admitReader(headers: Headers): void;
  /** Ends streams and timers. The store stays open: it is the caller's. */
  close(): void;
}

export interface ControlOptions {
  /** Migrated. */
  readonly store: Store;
  readonly clock: Clock;
  readonly sealer: Sealer;
  /** What alerts are signed with. */
  readonly webhookSecret: WebhookSecret;
  readonly registry: ProxyRegistry;
  /** Told of faults that callers are not told of, for the log; secrets are never in it. */
  readonly onFault: (text: string) => void;
  /** Told of what an administrator did that the history of changes does not show, for the log. */
  readonly onNotice?: (text: string) => void;
}

/** Reads the whole policy into memory and begins to watch the store. Rejects with StoreError. */
export async function createControl(options: ControlOptions): Promise<Control> {
  const { store, clock, sealer, registry, webhookSecret, onFault, onNotice = () => {} } = options;
  const keeper = await createWorldKeeper(store);
  const installationId = await store.installationId();
  const broadcast = createBroadcast();
  const publisher = createPublisher({
    store,
    keeper,
    sealer,
    clock,
    broadcast,
    installationId,
    onFault,
  });
  const writer = createWriter({ store, keeper, registry, clock, committed: publisher.committed });
  const alerts = createQuotaAlerts({
    store,
    clock,
    installationId,
    secret: webhookSecret,
    onFault,
  });
  const ledger = createQuotaLedger({
    store,
    clock,
    findPolicy: (name) => keeper.current.policies.get(name),
    onFault,
    onReadings: alerts.note.bind(alerts),
    // Only an engine that several processes may use tells of their commits.
    shared: store.onCommit !== undefined,
  });
  publisher.hub.onCommit(() => ledger.policiesChanged());
  const guard = createGuard({ keeper, clock, onFault, onCommit: publisher.hub.onCommit });
  return {
    hub: {
      ...publisher.hub,
      reportQuota: ledger.reportQuota,
      onRecall: ledger.onRecall,
    },
    routes: (router) => {
      const part = { store, keeper, writer, sealer, clock, registry, webhookSecret };
      const admin = { ...part, onFault, onNotice };
      router.service(AdminService, createAdminService(admin, guard));
      router.service(UsageService, createUsageService({ store, keeper, broadcast }, guard));
    },
    bootstrap: async (order) => {
      const report = await bootstrap({ store, clock }, order);
      publisher.committed((await keeper.refresh()).revision);
      return report;
    },
    get quotaCounters() {
      return ledger.counters;
    },
    get alertCounters() {
      return alerts.counters;
    },
    get revision() {
      return keeper.current.revision;
    },
    admitReader: (headers) => {
      assertReader(identifyCaller(keeper.current, headers, clock.wallMs()));
    },
    close: () => {
      ledger.close();
      alerts.close();
      publisher.close();
      broadcast.close();
    },
  };
}

function assertReader(caller: Caller): void {
  if (readsEverything(caller)) return;
  throw new MeshError(
    "PERMISSION_DENIED",
    "This is for administrative keys with the role auditor or platform admin.",
  );
}
