import type { Policy } from "../../gen/weir/admin/v1/policy_pb.ts";
import { compileLimit } from "./compile-limit.ts";
import type { Limit } from "./limit.ts";

/** A policy, compiled. One object for a revision of the policy. */
export interface PolicyEntry {
  readonly policy: Policy;
  /** The team whose subtree a policy below `teams/{team}` is bound to, or "" for the platform's. */
  readonly team: string;
  /** What it limits; undefined for other kinds of policies, and for one that is disabled. */
  readonly limit: Limit | undefined;
}

/** Throws SnapshotRefusal for a limit that is not understood: it could not be held. */
export function compilePolicy(policy: Policy): PolicyEntry {
  const at = policy.name.indexOf("/policies/");
  return {
    policy,
    team: at < 0 ? "" : policy.name.slice(0, at),
    limit: compileLimit(policy),
  };
}
