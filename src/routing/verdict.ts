import type { MeshError } from "../mesh/errors.ts";
import type { Leg } from "../mesh/grant.ts";

/** What a failed attempt means for those that may follow. */
export interface FailureVerdict {
  /** What it says of the target: its fault, its fault for good, a lack of capacity, or nothing. */
  readonly health: "failed" | "broken" | "blocked" | "unknown";
  /** Whether the same target may succeed when asked again. */
  readonly again: boolean;
  /** Whether another target of the same model may succeed. */
  readonly next: boolean;
}

const nothingHelps: FailureVerdict = { health: "unknown", again: false, next: false };

/** The one place that says which failures are tried again, where, and what they mean for health. */
export function judgeFailure(error: MeshError): FailureVerdict {
  switch (error.reason) {
    case "UPSTREAM_FAILED":
    case "UPSTREAM_GARBLED":
    case "UPSTREAM_TIMEOUT":
      return { health: "failed", again: true, next: true };
    case "UPSTREAM_RATE_LIMITED":
      return { health: "blocked", again: false, next: true };
    // A wrong key is a fault of configuration: other providers have other keys.
    case "UPSTREAM_CREDENTIAL":
      return { health: "broken", again: false, next: true };
    // The target's dialect cannot say what was asked; another's may.
    case "INVALID_REQUEST":
    case "UNIMPLEMENTED":
    // Another target may have a price, be cheaper, or count against other limits.
    case "PRICE_UNKNOWN":
    case "BUDGET_EXHAUSTED":
    case "RATE_LIMITED":
    case "QUOTA_UNAVAILABLE":
      return { health: "unknown", again: false, next: true };
    default:
      return nothingHelps;
  }
}

/** Whether a leg is to be tried after the failure of an earlier one. */
export function followsFailure(leg: Leg, error: MeshError): boolean {
  if (error.reason === "CALLER_GONE" || error.reason === "DEADLINE_EXCEEDED") return false;
  switch (leg.after) {
    case "first":
    case "any":
      return true;
    case "context_window":
      return error.reason === "CONTEXT_TOO_LONG";
    case "content_policy":
      return error.reason === "CONTENT_BLOCKED";
    case "budget":
      return (
        error.reason === "BUDGET_EXHAUSTED" &&
        error.details.metadata?.downgrade_to === (leg.askedAs ?? leg.name)
      );
    default: {
      const never: never = leg.after;
      return never;
    }
  }
}
