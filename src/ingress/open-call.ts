import { type Call, createTrail, type DoorName } from "../mesh/call.ts";
import { Cancellation } from "../mesh/cancellation.ts";
import type { Clock } from "../mesh/clock.ts";
import { createTimedId } from "../mesh/random.ts";

/** What a door knows of a call when it arrives. */
export interface Arrival {
  readonly door: DoorName;
  readonly credential: string | undefined;
  /** How long the caller waits, in milliseconds. Undefined means for ever. */
  readonly timeoutMs: number | undefined;
}

/** Opens a call: it gets its identity, its clock and its way to be cancelled. */
export function openCall(arrival: Arrival, clock: Clock): Call {
  const startedMs = clock.now();
  const startedWallMs = clock.wallMs();
  return {
    requestId: createTimedId("req_", startedWallMs),
    door: arrival.door,
    credential: arrival.credential,
    startedMs,
    startedWallMs,
    deadlineMs: arrival.timeoutMs === undefined ? undefined : startedMs + arrival.timeoutMs,
    cancellation: new Cancellation(),
    trail: createTrail(),
  };
}
