import type { Policy } from "../../gen/weir/admin/v1/policy_pb.ts";
import { compileLimit } from "../mesh/compile-limit.ts";
import type { Limit } from "../mesh/limit.ts";

/** Limits by the names of their policies, as they are now. */
export interface LimitFinder {
  /** Undefined when there is none, or none that is understood here. */
  find(policy: string): Limit | undefined;
  /** The policy itself. */
  policy(name: string): Policy | undefined;
}

/** Compiles each policy once: a policy that is edited is another object. */
export function createLimitFinder(findPolicy: (name: string) => Policy | undefined): LimitFinder {
  const compiled = new WeakMap<Policy, { readonly limit: Limit | undefined }>();
  return {
    policy: findPolicy,
    find: (name) => {
      const policy = findPolicy(name);
      if (policy === undefined) return undefined;
      const known = compiled.get(policy);
      if (known !== undefined) return known.limit;
      const limit = compileOrNone(policy);
      compiled.set(policy, { limit });
      return limit;
    },
  };
}

/** A limit that is not understood grants nothing, which holds it. */
function compileOrNone(policy: Policy): Limit | undefined {
  try {
    return compileLimit(policy);
  } catch {
    return undefined;
  }
}
