import type { Resource } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Clock } from "../mesh/clock.ts";
import type { Hub } from "../mesh/hub.ts";
import type { SnapshotChange } from "../mesh/snapshot.ts";
import type { Store } from "../store/store.ts";
import type { Broadcast } from "./broadcast.ts";
import type { FaultListener } from "./connect-errors.ts";
import { openCredential } from "./credential.ts";
import { keyKind, modelKind, policyKind, providerKind, teamKind, userKind } from "./kinds.ts";
import { createRecordIntake } from "./record-intake.ts";
import type { Sealer } from "./sealer.ts";
import type { World, WorldKeeper } from "./world.ts";

/** A longer difference is not worth it: then everything is sent. */
const DELTA_MAX = 5000;
/**
 * How often the store is asked whether another instance has written, also where it tells by itself:
 * some way to a database may swallow what it tells.
 */
const POLL_MS = 1000;

/** Publishes what was written, and takes records in. */
export interface Publisher {
  readonly hub: Hub;
  /** Tells of a commit of this process. */
  committed(revision: number): void;
  close(): void;
}

export interface PublisherContext {
  readonly store: Store;
  readonly keeper: WorldKeeper;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly broadcast: Broadcast;
  readonly installationId: string;
  readonly onFault: FaultListener;
}

export function createPublisher(context: PublisherContext): Publisher {
  const { store, keeper, clock, broadcast, installationId, onFault } = context;
  const listeners = new Set<(revision: number) => void>();
  const unseal = createUnsealer(context);
  let published = keeper.current.revision;

  const committed = (revision: number): void => {
    if (revision <= published) return;
    published = revision;
    for (const listener of listeners) listener(revision);
  };
  let looking = false;
  let again = false;
  let fault = "";
  const tell = (text: string): void => {
    // Once for a store that is away, however often it is asked.
    if (text !== fault && text !== "") onFault(text);
    fault = text;
  };
  const look = (): void => {
    again = looking;
    if (looking) return;
    looking = true;
    keeper
      .refresh()
      .then((world) => {
        tell("");
        committed(world.revision);
      })
      .catch((error: unknown) => tell(`The store cannot be read: ${String(error)}`))
      .finally(() => {
        looking = false;
        if (again) look();
      });
  };
  const poll = clock.every(POLL_MS, look);
  const stopListening = store.onCommit?.(look);
  const intake = createRecordIntake({ store, clock, broadcast });

  const hub: Hub = {
    installationId,
    changeSince: async (revision) => {
      const world = keeper.current;
      if (revision === world.revision) return undefined;
      const delta = await readDelta(store, world, revision);
      // The world may have moved on in between; read it again, at one moment.
      const change = delta ?? { ...readWhole(keeper.current), baseRevision: 0 };
      return { ...change, installationId, upserts: change.upserts.map(unseal) };
    },
    onCommit: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    appendRecords: (batch) => intake.append(batch),
  };
  return {
    hub,
    committed,
    close: () => {
      poll.cancel();
      stopListening?.();
      again = false;
      intake.close();
      listeners.clear();
    },
  };
}

type Delta = Omit<SnapshotChange, "installationId">;

/** The last state of each resource that has changed; undefined when everything must be sent. */
async function readDelta(store: Store, world: World, base: number): Promise<Delta | undefined> {
  if (base <= 0 || base > world.revision) return undefined;
  const changes = await store.changesSince(base, DELTA_MAX + 1);
  const last = changes.at(-1);
  if (last === undefined || changes.length > DELTA_MAX) return undefined;
  const folded = new Map<string, Resource | undefined>();
  for (const change of changes) folded.set(change.name, change.after);
  const upserts: Resource[] = [];
  const deletions: string[] = [];
  for (const [name, after] of folded) {
    if (after === undefined) deletions.push(name);
    else upserts.push(after);
  }
  return { revision: last.revision, baseRevision: base, upserts, deletions };
}

function readWhole(world: World): Omit<Delta, "baseRevision"> {
  const upserts: Resource[] = [];
  for (const team of world.teams.values()) upserts.push(teamKind.wrap(team));
  for (const user of world.users.values()) upserts.push(userKind.wrap(user));
  for (const provider of world.providers.values()) upserts.push(providerKind.wrap(provider));
  for (const model of world.models.values()) upserts.push(modelKind.wrap(model));
  for (const policy of world.policies.values()) upserts.push(policyKind.wrap(policy));
  for (const key of world.keys.values()) upserts.push(keyKind.wrap(key));
  return { revision: world.revision, upserts, deletions: [] };
}

/**
 * Makes secrets readable for the link. One that cannot be opened goes out sealed: its provider
 * alone is broken then.
 */
function createUnsealer({ sealer, onFault }: PublisherContext): (resource: Resource) => Resource {
  return (resource) => {
    const provider = providerKind.unwrap(resource);
    if (provider === undefined) return resource;
    try {
      return providerKind.wrap(openCredential(provider, sealer));
    } catch (error) {
      onFault(error instanceof Error ? error.message : String(error));
      return resource;
    }
  };
}
