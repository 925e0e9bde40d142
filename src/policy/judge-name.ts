import type { ExcludedTarget } from "../../gen/weir/admin/v1/record_pb.ts";
import type { Leg } from "../mesh/grant.ts";
import type { BoundLimit } from "../mesh/limit.ts";
import type { Target } from "../mesh/target.ts";
import {
  type AccessPolicy,
  type AccessQuestion,
  type AccessVerdict,
  judgeModel,
  judgeTarget,
} from "./access.ts";
import { matchesAny } from "./pattern.ts";
import type { ResolvedModel } from "./resolve-model.ts";

/** One name, judged for one principal. */
export interface NameVerdict {
  readonly access: AccessVerdict;
  /** The model as the first leg of a route; undefined when there is no such model. */
  readonly leg: Leg | undefined;
}

/**
 * Judges a model and each of its targets, by all access policies that concern the request.
 * `resolved` is what the name stands for, if it is anything.
 */
export function judgeName(
  resolved: ResolvedModel | undefined,
  policies: readonly AccessPolicy[],
  question: AccessQuestion,
  limits: readonly BoundLimit[],
): NameVerdict {
  const access = judgeByKey(judgeModel(policies, question), question);
  if (resolved === undefined) return { access, leg: undefined };
  const leg = createLeg(resolved, access, question);
  return { access, leg: limits.length === 0 ? leg : { ...leg, limits } };
}

/** A key may narrow what policy allows, never widen it. */
function judgeByKey(access: AccessVerdict, question: AccessQuestion): AccessVerdict {
  const { key } = question.principal;
  if (key.allowedModels.length === 0) return access;
  if (question.names.some((name) => matchesAny(key.allowedModels, name))) return access;
  return { ...access, deniedBy: access.deniedBy || key.name };
}

function createLeg(resolved: ResolvedModel, access: AccessVerdict, question: AccessQuestion): Leg {
  const targets: Target[] = [];
  const excluded: ExcludedTarget[] = [];
  for (const target of resolved.targets) {
    const why = excludes(target, access, question);
    if (why === undefined) targets.push(target);
    else excluded.push(createExcluded(target, why));
  }
  return { name: resolved.name, model: resolved.resource, targets, excluded, after: "first" };
}

function excludes(
  target: Target,
  access: AccessVerdict,
  question: AccessQuestion,
): string | undefined {
  if (target.provider.resource.disabled) return "the provider is disabled";
  // What exactly is missing is for those who run the proxy: ListProxies tells them.
  if (target.provider.fault !== undefined) return "the provider's credential is missing";
  return judgeTarget(access.concerning, question, target);
}

function createExcluded(target: Target, reason: string): ExcludedTarget {
  return {
    $typeName: "weir.admin.v1.ExcludedTarget",
    provider: target.provider.name,
    upstreamModel: target.upstreamModel,
    reason,
  };
}
