import type { Call } from "../mesh/call.ts";
import type { Clock, Timer } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";

/**
 * Cancels a call when its caller's deadline passes. Returns the timer to stop, if there is a
 * deadline.
 */
export function watchDeadline(call: Call, clock: Clock): Timer | undefined {
  if (call.deadlineMs === undefined) return undefined;
  return clock.after(Math.max(0, call.deadlineMs - clock.now()), () => {
    call.cancellation.cancel(
      new MeshError(
        "DEADLINE_EXCEEDED",
        "The deadline of this request passed before the model had answered. Allow more time.",
      ),
    );
  });
}
