import { asMeshError, type MeshError } from "../mesh/errors.ts";
import type { Leg } from "../mesh/grant.ts";
import type { Reservation } from "../mesh/quota.ts";
import type { Target } from "../mesh/target.ts";
import type { AttemptsOfCall } from "./attempts.ts";

type Taken = Reservation | undefined | MeshError;

/**
 * Takes what one attempt may cost at most from the leg's limits. Undefined where none concerns the
 * call; the error where they do not have it. At once when the leases at hand suffice.
 */
export function takeReservation<E, T>(
  leg: Leg,
  target: Target,
  { call, ask, tools }: AttemptsOfCall<E, T>,
): Taken | Promise<Taken> {
  if (ask === undefined || leg.limits === undefined || leg.limits.length === 0) return undefined;
  const { trail } = call;
  trail.quota ??= tools.quota.begin(call, ask);
  try {
    const taken = trail.quota.reserve(leg, target);
    if (!(taken instanceof Promise)) return note(taken);
    return taken.then(
      (reservation) => {
        if (call.cancellation.cause === undefined) return note(reservation);
        // The caller has left while the ledger was asked.
        reservation.release();
        return asMeshError(call.cancellation.cause);
      },
      (thrown) => asMeshError(thrown),
    );
  } catch (thrown) {
    return asMeshError(thrown);
  }

  function note(reservation: Reservation): Reservation {
    trail.clampedBy = reservation.clampedBy;
    // Each attempt reserves; the record names a policy once.
    for (const policy of reservation.unprovenBy) {
      if (!trail.unprovenBy.includes(policy)) trail.unprovenBy.push(policy);
    }
    return reservation;
  }
}
