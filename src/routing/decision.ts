import type { Decision } from "../../gen/weir/v1/chat_pb.ts";
import type { Call } from "../mesh/call.ts";
import type { Grant, Leg } from "../mesh/grant.ts";
import type { Target } from "../mesh/target.ts";
import type { AttemptLog } from "./attempt-log.ts";

/** What a decision is made of. */
export interface DecisionParts {
  readonly call: Call;
  readonly grant: Grant;
  readonly leg: Leg;
  readonly target: Target;
  readonly log: AttemptLog;
}

/** Says who answers, for the caller and for the record. */
export function createDecision({ call, grant, leg, target, log }: DecisionParts): Decision {
  return {
    $typeName: "weir.v1.Decision",
    requestId: call.requestId,
    model: leg.name,
    provider: target.provider.name.slice("providers/".length),
    upstreamModel: target.upstreamModel,
    attempts: call.trail.attempts.length,
    cache: 0,
    policyRevision: BigInt(grant.revision),
    upstreamId: "",
    warnings: log.warnings,
    clampedBy: call.trail.clampedBy,
    downgradedBy: call.trail.downgradedBy,
    unprovenBy: call.trail.unprovenBy,
  };
}
