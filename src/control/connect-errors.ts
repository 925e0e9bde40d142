import { ConnectError } from "@connectrpc/connect";
import { asMeshError, MeshError } from "../mesh/errors.ts";
import { mapStatus } from "../mesh/status.ts";
import { StoreError } from "../store/store.ts";

/** Told of what callers are not told. */
export type FaultListener = (text: string) => void;

/**
 * Whatever an RPC threw, as connect sends it, with google.rpc details. Faults of ours go to
 * `onFault`.
 */
export function toConnectError(thrown: unknown, onFault: FaultListener): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  const error = thrown instanceof StoreError ? createStoreFault(thrown) : asMeshError(thrown);
  if (error.details.internal !== undefined) onFault(error.details.internal);
  const { code, message, details } = mapStatus(error);
  return new ConnectError(message, code, undefined, [...details], thrown);
}

function createStoreFault(fault: StoreError): MeshError {
  return new MeshError("UNAVAILABLE", "The store does not answer now. Try again in a moment.", {
    cause: fault,
    retryAfterMs: 1000,
    internal: `store: ${fault.stack ?? fault.message}`,
  });
}
