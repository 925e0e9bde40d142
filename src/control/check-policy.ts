import {
  type AccessRule,
  type Match,
  type Policy,
  Policy_Mode,
  type Selector,
} from "../../gen/weir/admin/v1/policy_pb.ts";
import { ChatSchema, SamplingSchema } from "../../gen/weir/v1/chat_pb.ts";
import { checkCount, checkNaming, checkPatterns, refuse } from "./check-fields.ts";
import { checkLimit } from "./check-limit.ts";
import { findServing } from "./check-model.ts";
import { missing } from "./check-team.ts";
import { teamOf } from "./kinds.ts";
import { refuseUnbuiltPolicy } from "./not-yet.ts";
import type { World } from "./world.ts";

/**
 * Checks a policy as it would be. Returns warnings; throws INVALID_REQUEST, FAILED_PRECONDITION or
 * UNIMPLEMENTED.
 */
export function checkPolicy(policy: Policy, world: World): string[] {
  checkNaming("policy", policy);
  refuseUnbuiltPolicy(policy);
  if (policy.mode < Policy_Mode.UNSPECIFIED || policy.mode > Policy_Mode.AUDIT) {
    refuse("policy.mode", `${policy.mode} is no mode: use MODE_ENFORCE or MODE_AUDIT.`);
  }
  const team = teamOf(policy.name);
  if (team !== "" && !world.teams.has(team)) throw missing("policy.name", team);
  const warnings = [...checkMatch(policy.match, world), ...checkRule(policy, team !== "", world)];
  if (policy.disabled) warnings.push(`${policy.name} is disabled, so it does nothing.`);
  return warnings;
}

function checkRule({ rule }: Policy, isTeams: boolean, world: World): string[] {
  switch (rule.case) {
    case "access":
      return checkAccess(rule.value, isTeams, world);
    case "budget":
    case "rateLimit":
    case "concurrency":
      return checkLimit(rule, (name) => servesModel(world, name));
    default:
      return refuse("policy.rule", "A policy needs exactly one rule, such as `access`.");
  }
}

function checkMatch(match: Match | undefined, world: World): string[] {
  if (match === undefined) return [];
  checkCount("policy.match.labels", Object.keys(match.labels).length, 32);
  for (const { values } of Object.values(match.labels)) {
    if (values.length === 0) refuse("policy.match.labels", "Each label needs a value.");
    checkPatterns("policy.match.labels", values);
  }
  const knows = (names: ReadonlyMap<string, unknown>) => (name: string) => names.has(name);
  return [
    ...checkSelector("teams", match.teams, knows(world.teams)),
    ...checkSelector("users", match.users, knows(world.users)),
    ...checkSelector("keys", match.keys, knows(world.keys)),
    ...checkSelector("models", match.models, (name) => servesModel(world, name)),
    ...checkSelector("providers", match.providers, knows(world.providers)),
  ];
}

function checkSelector(
  part: string,
  selector: Selector | undefined,
  exists: (name: string) => boolean,
): string[] {
  if (selector === undefined) return [];
  const names = [...selector.include, ...selector.exclude];
  checkPatterns(`policy.match.${part}`, names);
  return warnUnknown(`match.${part}`, names, exists);
}

function checkAccess(rule: AccessRule, isTeams: boolean, world: World): string[] {
  checkPatterns("policy.access.allow_models", rule.allowModels);
  checkPatterns("policy.access.deny_models", rule.denyModels);
  checkPatterns("policy.access.allow_providers", rule.allowProviders);
  checkPatterns("policy.access.deny_providers", rule.denyProviders);
  checkCount("policy.access.deny_parameters", rule.denyParameters.length, 100);
  checkCount("policy.access.allow_regions", rule.allowRegions.length, 100);
  const models = [...rule.allowModels, ...rule.denyModels];
  const providers = [...rule.allowProviders, ...rule.denyProviders];
  const warnings = [
    ...warnUnknown("access", models, (name) => servesModel(world, name)),
    ...warnUnknown("access", providers, (name) => world.providers.has(name)),
    ...warnUnknown("access.deny_parameters", rule.denyParameters, (name) => parameters.has(name)),
  ];
  if (!isTeams && rule.allowModels.length === 0 && deniesNothing(rule)) {
    warnings.push("This policy allows no model and denies nothing, so it does nothing.");
  }
  if (isTeams && rule.allowModels.length > 0) {
    warnings.push(
      "A team's policy only tightens: what it allows must be allowed by a policy of the " +
        "platform too.",
    );
  }
  return warnings;
}

function deniesNothing(rule: AccessRule): boolean {
  const lists = [rule.denyModels, rule.denyProviders, rule.denyParameters];
  const narrows = rule.allowProviders.length + rule.allowRegions.length > 0;
  return lists.every((list) => list.length === 0) && !narrows && !rule.requireZeroDataRetention;
}

/** Only a warning: policies may be written before what they speak of. */
function warnUnknown(
  where: string,
  names: readonly string[],
  exists: (name: string) => boolean,
): string[] {
  const unknown = names.filter((name) => !name.endsWith("*") && !exists(name)).slice(0, 5);
  return unknown.map((name) => `${where} names ${name}, which is not there (yet).`);
}

function servesModel(world: World, name: string): boolean {
  return findServing(world.models.values(), name) !== undefined;
}

const parameters: ReadonlySet<string> = new Set(
  [...ChatSchema.fields, ...SamplingSchema.fields].map((field) => field.name),
);
