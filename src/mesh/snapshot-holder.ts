import type { Resource } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { stageChange } from "./compile-change.ts";
import type { FindPrice } from "./compile-model.ts";
import { compileProvider, type SecretSources } from "./compile-provider.ts";
import { SnapshotRefusal } from "./compile-refusal.ts";
import { type CompiledState, commitStaged, createState } from "./compile-state.ts";
import type { Snapshot, SnapshotChange } from "./snapshot.ts";

/** Holds the snapshot that a proxy serves by. */
export interface SnapshotHolder {
  /**
   * A new object after each change, over the same maps where they could be kept: do not hold on to
   * it across turns.
   */
  readonly current: Snapshot;
  /**
   * Puts a change in place within this turn; its cost is that of what it changes. Throws
   * SnapshotRefusal when a resource cannot be served or the change builds on another revision; then
   * nothing is changed.
   */
  apply(change: SnapshotChange): void;
  /** Calls `listener` after each change. Returns how to stop. */
  onChange(listener: (snapshot: Snapshot) => void): () => void;
  /** What keeps providers from being used, in sentences. */
  faults(): string[];
  /** Looks again for the secrets that credentials only name. True when one of them has changed. */
  refreshSecrets(): boolean;
  /** Everything, as one whole change. */
  export(): SnapshotChange;
}

/** What a holder needs of its surroundings. */
export interface SnapshotHolderOptions extends SecretSources {
  readonly findPrice: FindPrice;
}

/** A holder of an empty snapshot of revision 0. */
export function createSnapshotHolder(options: SnapshotHolderOptions): SnapshotHolder {
  const listeners = new Set<(snapshot: Snapshot) => void>();
  let state = createState();
  let current = createSnapshot(state, 0, "");
  const publish = (revision: number, installationId: string) => {
    current = createSnapshot(state, revision, installationId);
    for (const listener of [...listeners]) listener(current);
  };
  return {
    get current() {
      return current;
    },
    apply: (change) => {
      const whole = change.baseRevision === 0;
      if (!whole) assertBuildsOn(current, change);
      const next = whole ? createState() : state;
      commitStaged(next, stageChange(next, change, options), options.findPrice);
      state = next;
      publish(change.revision, change.installationId);
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    faults: () => listFaults(state),
    refreshSecrets: () => {
      const providers = [...state.providers.values()]
        .map((entry) => ({ entry, again: compileProvider(entry.resource, options) }))
        .filter(({ entry, again }) => entry.secret !== again.secret || entry.fault !== again.fault)
        .map(({ again }) => again);
      if (providers.length === 0) return false;
      const staged = { plain: [], policies: [], providers, models: [], deletions: [] };
      commitStaged(state, staged, options.findPrice);
      publish(current.revision, current.installationId);
      return true;
    },
    export: () => exportState(state, current),
  };
}

function createSnapshot(state: CompiledState, revision: number, installationId: string): Snapshot {
  const { teams, users, keys, secrets, providers, models, wildcards, policies, policyIndex } =
    state;
  return {
    revision,
    installationId,
    teams,
    users,
    keys,
    secrets,
    providers,
    models,
    wildcards,
    policies,
    policyIndex,
  };
}

function assertBuildsOn(current: Snapshot, change: SnapshotChange): void {
  const same = change.installationId === current.installationId;
  if (same && change.baseRevision === current.revision) return;
  throw new SnapshotRefusal(
    "",
    `The change builds on revision ${change.baseRevision}; this proxy holds ${current.revision}.`,
  );
}

function listFaults(state: CompiledState): string[] {
  const faults: string[] = [];
  for (const provider of state.providers.values()) {
    if (provider.fault !== undefined && !provider.resource.disabled) faults.push(provider.fault);
  }
  return faults.sort();
}

function exportState(state: CompiledState, current: Snapshot): SnapshotChange {
  const upserts: Resource[] = [];
  const push = (resource: Resource["resource"]) => {
    upserts.push({ $typeName: "weir.admin.v1.Resource", resource });
  };
  for (const value of state.teams.values()) push({ case: "team", value });
  for (const value of state.users.values()) push({ case: "user", value });
  for (const value of state.keys.values()) push({ case: "key", value });
  for (const entry of state.providers.values()) push({ case: "provider", value: entry.resource });
  for (const draft of state.drafts.values()) push({ case: "model", value: draft.resource });
  for (const value of state.policies.values()) push({ case: "policy", value });
  return {
    revision: current.revision,
    baseRevision: 0,
    installationId: current.installationId,
    upserts,
    deletions: [],
  };
}
