import type { HandlerContext } from "@connectrpc/connect";
import type { Clock, Timer } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";
import { type Caller, identifyCaller } from "./caller.ts";
import { type FaultListener, toConnectError } from "./connect-errors.ts";
import { assertPermission } from "./permissions.ts";
import type { WorldKeeper } from "./world.ts";

/** Stands before every RPC: who calls, and may it. Nothing is served that has not passed here. */
export interface Guard {
  /** Wraps a unary RPC. What it throws reaches the caller as a status with google.rpc details. */
  unary<I, O>(
    rpc: string,
    run: (caller: Caller, request: I) => Promise<O>,
  ): (request: I, context: HandlerContext) => Promise<O>;
  /** Wraps a server stream. `assertStill` throws when the caller's key has become invalid since. */
  stream<I, O>(
    rpc: string,
    run: (caller: Caller, request: I, stream: StreamContext) => AsyncIterable<O>,
  ): (request: I, context: HandlerContext) => AsyncIterable<O>;
}

/** What a long stream needs beside its request. */
export interface StreamContext {
  /** Aborted when the caller leaves, and when its key has become invalid. */
  readonly signal: AbortSignal;
  /** Throws CREDENTIAL_* and PERMISSION_DENIED when the caller's key has lost its rights since. */
  assertStill(): void;
}

export function createGuard(context: {
  readonly keeper: WorldKeeper;
  readonly clock: Clock;
  readonly onFault: FaultListener;
  /** Calls `listener` after each change of policy. Returns how to stop. */
  readonly onCommit: (listener: () => void) => () => void;
}): Guard {
  const { keeper, clock, onFault, onCommit } = context;
  const admit = (rpc: string, headers: Headers): Caller => {
    const caller = identifyCaller(keeper.current, headers, clock.wallMs());
    assertPermission(caller, rpc);
    return caller;
  };
  return {
    unary:
      (rpc, run) =>
      async (request, { requestHeader }) => {
        try {
          return await run(admit(rpc, requestHeader), request);
        } catch (error) {
          throw toConnectError(error, onFault);
        }
      },
    stream: (rpc, run) =>
      async function* (request, { requestHeader, signal }) {
        const stops: (() => void)[] = [];
        try {
          const caller = admit(rpc, requestHeader);
          const assertStill = () => assertSame(caller, admit(rpc, requestHeader));
          const watch = watchCaller(assertStill);
          stops.push(onCommit(watch.look), stopOf(clock.every(LOOK_MS, watch.look)));
          const any = AbortSignal.any([signal, watch.signal]);
          yield* run(caller, request, { signal: any, assertStill });
          watch.signal.throwIfAborted();
        } catch (error) {
          throw toConnectError(error, onFault);
        } finally {
          for (const stop of stops) stop();
        }
      },
  };
}

/** How often a stream looks whether its key has expired. */
const LOOK_MS = 5_000;

/** Ends a stream on which nothing happens, too. */
function watchCaller(assertStill: () => void) {
  const abort = new AbortController();
  const look = () => {
    try {
      assertStill();
    } catch (error) {
      abort.abort(error);
    }
  };
  return { signal: abort.signal, look };
}

function stopOf(timer: Timer): () => void {
  return () => timer.cancel();
}

/** A stream shows what its caller might see when it began. */
function assertSame(before: Caller, { role, user }: Caller): void {
  if (role === before.role && user === before.user) return;
  throw new MeshError("PERMISSION_DENIED", "The role of this key has changed. Call again.");
}
