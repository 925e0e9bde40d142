import { create } from "@bufbuild/protobuf";
import type { WriteOptions, WriteResult } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { WriteResultSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Clock } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";
import type { ProxyRegistry } from "../mesh/hub.ts";
import type { ResourceWrite, Store, StoredResource } from "../store/store.ts";
import { refuse } from "./check-fields.ts";
import { createTurns, type Turns } from "./turns.ts";
import type { World, WorldKeeper } from "./world.ts";

/** How long a write waits for proxies to confirm it. */
const CONFIRM_MS = 2000;
/** How often a write begins anew because another instance was faster. */
const TRIES_MAX = 5;
/** How far back a repeated write is looked for in the history of its resource. */
const REPEATS_MAX = 1000;

/** What a write is to do, found out while no other write of this process is under way. */
export interface Plan {
  /** Empty means that nothing is left to do. */
  readonly writes: readonly ResourceWrite[];
  readonly warnings: readonly string[];
  readonly merged: boolean;
}

/** What a write did. */
export interface Written {
  /** The resources that were written, as they are now. */
  readonly resources: readonly StoredResource[];
  readonly result: WriteResult;
  /** True when the same write had been done before: nothing was written now. */
  readonly repeated: boolean;
}

/** What a write needs beside its plan. */
export interface WriteOrder {
  readonly actor: string;
  readonly options: WriteOptions | undefined;
  /** The resource by which a repeated write is found; empty for a write of many. */
  readonly name: string;
  /** Reads the world and says what to write; called again when another instance was faster. */
  readonly plan: (world: World) => Promise<Plan>;
}

/**
 * Writes resources, one write at a time, so that what was checked still holds when it is committed.
 */
export interface Writer {
  /**
   * Throws what `plan` throws, ABORTED-like ETAG_MISMATCH under constant contention, and
   * StoreError.
   */
  write(order: WriteOrder): Promise<Written>;
}

export function createWriter(context: {
  readonly store: Store;
  readonly keeper: WorldKeeper;
  readonly registry: ProxyRegistry;
  readonly clock: Clock;
  /** Called after each commit. */
  readonly committed: (revision: number) => void;
}): Writer {
  const turns: Turns = createTurns();
  const { store, keeper, registry, clock } = context;

  const attempt = async (order: WriteOrder): Promise<Drafted | undefined> => {
    const options = order.options;
    const world = await keeper.refresh();
    const repeated = await findRepeated(store, order);
    if (repeated !== undefined) return repeated;
    const plan = await order.plan(world);
    const { warnings, merged } = plan;
    if (options?.validateOnly || plan.writes.length === 0) {
      return { resources: [], revision: world.revision, warnings, merged, wrote: false };
    }
    const outcome = await store.commit({
      writes: plan.writes,
      actor: order.actor,
      reason: options?.reason ?? "",
      requestId: options?.requestId ?? "",
      atMs: Math.floor(clock.wallMs()),
    });
    if (outcome.outcome === "conflict") return undefined;
    if (outcome.repeated) throw createReused();
    await keeper.refresh();
    context.committed(outcome.revision);
    return { ...outcome, warnings, merged, wrote: true };
  };

  return {
    write: async (order) => {
      checkOptions(order.options);
      const drafted = await turns.run(async () => {
        for (let tries = 0; tries < TRIES_MAX; tries++) {
          const done = await attempt(order);
          if (done !== undefined) return done;
        }
        throw new MeshError(
          "ETAG_MISMATCH",
          "Others keep changing this at the same time. Read it again, and write again.",
        );
      });
      const confirmations = await registry.waitForRevision(
        drafted.revision,
        drafted.wrote ? CONFIRM_MS : 0,
      );
      const result = create(WriteResultSchema, {
        revision: BigInt(drafted.revision),
        merged: drafted.merged,
        warnings: [...drafted.warnings, ...confirmations.refusals],
        proxiesConfirmed: confirmations.confirmed,
        proxiesConnected: confirmations.connected,
      });
      return { resources: drafted.resources, result, repeated: drafted.repeated === true };
    },
  };
}

interface Drafted {
  readonly resources: readonly StoredResource[];
  readonly revision: number;
  readonly warnings: readonly string[];
  readonly merged: boolean;
  readonly wrote: boolean;
  readonly repeated?: boolean;
}

/** The answer of a write that was done before under the same identifier. */
async function findRepeated(store: Store, order: WriteOrder): Promise<Drafted | undefined> {
  const requestId = order.options?.requestId ?? "";
  if (requestId === "") return undefined;
  const page = { name: order.name, beforeSequence: 0, limit: REPEATS_MAX };
  const changes = await store.listChanges(page);
  const found = changes.find((change) => change.requestId === requestId);
  if (found === undefined) return undefined;
  if (found.actor !== order.actor) throw createReused();
  const at = await store.getAt(found.name, found.revision);
  return {
    resources: at === undefined ? [] : [at],
    revision: found.revision,
    warnings: [`The write ${requestId} was done before, in revision ${found.revision}.`],
    merged: false,
    wrote: false,
    repeated: true,
  };
}

function checkOptions(options: WriteOptions | undefined): void {
  if (options === undefined) return;
  if (Buffer.byteLength(options.requestId) > 64) {
    refuse("options.request_id", "It has at most 64 bytes.");
  }
  if (Buffer.byteLength(options.reason) > 1024) {
    refuse("options.reason", "It has at most 1024 bytes.");
  }
}

function createReused(): MeshError {
  return new MeshError(
    "INVALID_REQUEST",
    "This request_id was used for another write. Choose a new one for each write.",
    { field: "options.request_id" },
  );
}
