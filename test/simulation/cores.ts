import type { Policy } from "../../gen/weir/admin/v1/policy_pb.ts";
import type { QuotaReply, QuotaReport } from "../../gen/weir/link/v1/link_service_pb.ts";
import { createQuotaLedger } from "../../src/control/quota-ledger.ts";
import type { Clock } from "../../src/mesh/clock.ts";
import type { ProxyStart, Recall } from "../../src/mesh/hub.ts";
import type { Quota, QuotaLink, Watermarks } from "../../src/mesh/quota.ts";
import { createQuota } from "../../src/quota/quota.ts";
import type { SqlBackend } from "../../src/store/operations.ts";
import { SqlStore } from "../../src/store/sql-store.ts";
import type { Chance } from "./chance.ts";

/** The real code of a proxy, as the simulation drives it. */
export interface ProxyCore {
  readonly quota: Quota;
  readonly link: QuotaLink;
  /** What does not add up, in a sentence. */
  invariant(): string | undefined;
  /** How many reservations are open. */
  open(): number;
  /** Gives everything back; resolves once the ledger knows. */
  close(): Promise<void>;
}

export interface ProxyCoreParts {
  readonly name: string;
  readonly epoch: number;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly watermarks: Watermarks;
}

export function createProxyCore({ clock, watermarks }: ProxyCoreParts): ProxyCore {
  const room = createQuota({ clock, watermarks });
  const { counters } = room;
  return {
    quota: room,
    link: room,
    invariant: () => {
      const unsound = room.invariant();
      if (unsound > 0) return `${unsound} sums do not come out`;
      if (counters.unsound > 0) return `${counters.unsound} sums did not come out`;
      return counters.overrun > 0 ? `${counters.overrun} limits were overrun` : undefined;
    },
    open: () => counters.reserved - counters.settled - counters.released,
    close: () => room.close(),
  };
}

/** The real code of a control, as the simulation drives it. */
export interface ControlCore {
  reportQuota(from: ProxyStart, report: QuotaReport): Promise<QuotaReply>;
  onRecall(listener: (recall: Recall) => void): () => void;
  /** Policies may have changed. */
  policiesChanged(): void;
  close(): void;
}

export interface ControlCoreParts {
  readonly name: string;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly backend: SqlBackend;
  /** As this control knows them. */
  readonly policies: ReadonlyMap<string, Policy>;
  readonly onFault: (text: string) => void;
  /** True where other controls use the same store. */
  readonly shared: boolean;
}

export function createControlCore(parts: ControlCoreParts): ControlCore {
  const { backend, clock, policies, onFault, shared } = parts;
  return createQuotaLedger({
    store: new SqlStore({ backend, migrations: [], clock }),
    clock,
    findPolicy: (name) => policies.get(name),
    onFault,
    shared,
  });
}
