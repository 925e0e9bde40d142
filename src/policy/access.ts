import { type AccessRule, type Policy, Policy_Mode } from "../../gen/weir/admin/v1/policy_pb.ts";
import type { PolicyEntry } from "../mesh/compile-policy.ts";
import type { Principal } from "../mesh/grant.ts";
import type { Target } from "../mesh/target.ts";
import { matchesAny, selects } from "./pattern.ts";

/** A request, as far as access policies look at it. */
export interface AccessQuestion {
  readonly principal: Principal;
  /** The name that was asked for and, for an alias, the name behind it. */
  readonly names: readonly string[];
}

/** What all access policies together say of a model, before its targets are looked at. */
export interface AccessVerdict {
  /** Undefined means allowed; else the policy that denies, or "" when none allows. */
  readonly deniedBy: string | undefined;
  /** Parameters that are denied, and by which policy. */
  readonly deniedParameters: ReadonlyMap<string, string>;
  /** Policies in audit mode that would have denied. */
  readonly auditDeniedBy: readonly string[];
  /** Policies in audit mode that would deny parameters. */
  readonly auditedParameters: readonly AccessPolicy[];
  /** The enforced policies that concern this request, for its targets. */
  readonly concerning: readonly AccessPolicy[];
}

/** An access policy, ready to be asked. */
export interface AccessPolicy {
  readonly policy: Policy;
  readonly rule: AccessRule;
  /** The team that a policy below `teams/{team}` is bound to, or "" for the platform's. */
  readonly team: string;
}

/** Picks the access policies. */
export function listAccessPolicies(entries: Iterable<PolicyEntry>): AccessPolicy[] {
  const found: AccessPolicy[] = [];
  for (const { policy, team } of entries) {
    if (policy.rule.case === "access") found.push({ policy, rule: policy.rule.value, team });
  }
  return found;
}

/**
 * Judges a model by all policies that concern the request. The default is to deny: some policy of
 * the platform must allow it. A policy of a team can only tighten: when it names models, it denies
 * all others. What any policy denies stays denied.
 */
export function judgeModel(
  policies: readonly AccessPolicy[],
  question: AccessQuestion,
): AccessVerdict {
  const concerning: AccessPolicy[] = [];
  const auditDeniedBy: string[] = [];
  const auditedParameters: AccessPolicy[] = [];
  const deniedParameters = new Map<string, string>();
  let deniedBy: string | undefined = "";
  let objection: string | undefined;
  for (const candidate of policies) {
    const { policy, rule } = candidate;
    const objects = objectsToModel(candidate, question.names);
    if (policy.mode === Policy_Mode.AUDIT) {
      if (objects) auditDeniedBy.push(policy.name);
      else if (rule.denyParameters.length > 0) auditedParameters.push(candidate);
      continue;
    }
    concerning.push(candidate);
    for (const parameter of rule.denyParameters) deniedParameters.set(parameter, policy.name);
    if (objects) objection ??= policy.name;
    else if (allowsModel(candidate, question.names)) deniedBy = undefined;
  }
  return {
    deniedBy: objection ?? deniedBy,
    deniedParameters,
    auditDeniedBy,
    auditedParameters,
    concerning,
  };
}

/**
 * Why a target may not be used, or undefined when it may. `concerning` comes from the model's
 * verdict.
 */
export function judgeTarget(
  concerning: readonly AccessPolicy[],
  question: AccessQuestion,
  target: Target,
): string | undefined {
  const provider = target.provider;
  let allowed = false;
  for (const candidate of concerning) {
    if (!selects(candidate.policy.match?.providers, [provider.name])) continue;
    const why = objectsToTarget(candidate, target);
    if (why !== undefined) return `${candidate.policy.name} ${why}`;
    if (allowsModel(candidate, question.names)) allowed = true;
  }
  return allowed ? undefined : "no policy allows this provider";
}

function allowsModel({ rule, team }: AccessPolicy, names: readonly string[]): boolean {
  return team === "" && names.some((name) => matchesAny(rule.allowModels, name));
}

function objectsToModel({ policy, rule, team }: AccessPolicy, names: readonly string[]): boolean {
  // A policy about some providers only says nothing about the model at others.
  if (policy.match?.providers !== undefined) return false;
  if (names.some((name) => matchesAny(rule.denyModels, name))) return true;
  if (team === "" || rule.allowModels.length === 0) return false;
  return !names.some((name) => matchesAny(rule.allowModels, name));
}

function objectsToTarget({ rule }: AccessPolicy, target: Target): string | undefined {
  const { name, resource } = target.provider;
  if (rule.allowProviders.length > 0 && !matchesAny(rule.allowProviders, name)) {
    return "allows other providers only";
  }
  if (matchesAny(rule.denyProviders, name)) return "denies this provider";
  if (rule.allowRegions.length > 0 && !matchesAny(rule.allowRegions, resource.region)) {
    return "allows other regions only";
  }
  if (rule.requireZeroDataRetention && !resource.zeroDataRetention) {
    return "requires a provider that keeps no data";
  }
  if (matchesAny(rule.denyModels, target.model)) return "denies this model";
  return undefined;
}
