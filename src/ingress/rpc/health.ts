import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  type Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/grpc/health/v1/health_pb.ts";
import type { RpcHouse } from "./rpc-house.ts";

/** How soon a watcher hears of a change, at most. */
export const HEALTH_WATCH_MS = 1000;

/**
 * grpc.health.v1 for the whole ("") and for each service by name; all are as ready as the process
 * is.
 */
export function createHealthService(
  house: RpcHouse,
  services: ReadonlySet<string>,
): ServiceImpl<typeof Health> {
  const look = (service: string): Status => {
    if (service !== "" && !services.has(service)) return Status.SERVICE_UNKNOWN;
    return house.readiness().ready ? Status.SERVING : Status.NOT_SERVING;
  };
  return {
    check: ({ service }) => {
      const status = look(service);
      if (status !== Status.SERVICE_UNKNOWN) return { status };
      throw new ConnectError(`There is no service ${JSON.stringify(service)}.`, Code.NotFound);
    },
    watch: async function* ({ service }, { signal }) {
      let told: Status | undefined;
      while (!signal.aborted) {
        const status = look(service);
        if (status !== told) {
          told = status;
          yield { status };
        } else if (house.readiness().draining === true) {
          // A watcher would hold the drain up until its patience ends.
          throw new ConnectError("This process is shutting down.", Code.Unavailable);
        } else {
          await pauseUnlessAborted(house, signal);
        }
      }
    },
  };
}

/** Resolves after HEALTH_WATCH_MS, or at once when the watcher goes. */
function pauseUnlessAborted(house: RpcHouse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      timer.cancel();
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = house.clock.after(HEALTH_WATCH_MS, wake);
    signal.addEventListener("abort", wake);
  });
}
