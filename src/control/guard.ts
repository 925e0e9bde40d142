import type { HandlerContext } from "@connectrpc/connect";
import type { Clock } from "../mesh/clock.ts";
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
  readonly signal: AbortSignal;
  /** Throws CREDENTIAL_* when the caller's key has become invalid since. */
  assertStill(): void;
}

export function createGuard(context: {
  readonly keeper: WorldKeeper;
  readonly clock: Clock;
  readonly onFault: FaultListener;
}): Guard {
  const { keeper, clock, onFault } = context;
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
        try {
          const caller = admit(rpc, requestHeader);
          const assertStill = () => void admit(rpc, requestHeader);
          yield* run(caller, request, { signal, assertStill });
        } catch (error) {
          throw toConnectError(error, onFault);
        }
      },
  };
}
