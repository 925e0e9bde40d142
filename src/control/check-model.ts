import type { Model, Target } from "../../gen/weir/admin/v1/model_pb.ts";
import { Policy_Mode } from "../../gen/weir/admin/v1/policy_pb.ts";
import {
  checkCapabilities,
  checkCount,
  checkDuration,
  checkHeaders,
  checkJsonObject,
  checkNaming,
  checkPrice,
  quote,
  refuse,
} from "./check-fields.ts";
import { missing } from "./check-team.ts";
import { providerKind } from "./kinds.ts";
import { refuseUnbuiltModel } from "./not-yet.ts";
import type { World } from "./world.ts";

/** What proxies follow at most, too. */
const ALIAS_DEPTH_MAX = 8;
const HOUR_MS = 3_600_000;

/**
 * Checks a model as it would be. Returns warnings; throws INVALID_REQUEST, FAILED_PRECONDITION or
 * UNIMPLEMENTED.
 */
export function checkModel(model: Model, world: World): string[] {
  checkNaming("model", model);
  refuseUnbuiltModel(model);
  if (model.aliasOf !== "") return checkAlias(model, world);
  if (model.targets.length === 0) {
    refuse("model.targets", "A model needs a target, or `alias_of`.");
  }
  checkCount("model.targets", model.targets.length, 100);
  for (const target of model.targets) checkTarget(target, model, world);
  checkCapabilities("model.capabilities", model.capabilities);
  const range = { minMs: 1, maxMs: HOUR_MS };
  checkDuration("model.timeouts.first_token", model.timeouts?.firstToken, range);
  checkDuration("model.timeouts.idle", model.timeouts?.idle, range);
  checkDuration("model.timeouts.total", model.timeouts?.total, { minMs: 1, maxMs: 24 * HOUR_MS });
  if (model.retriesPerTarget !== undefined && !isWithin(model.retriesPerTarget, 0, 5)) {
    refuse("model.retries_per_target", "It must be from 0 to 5.");
  }
  for (const field of ["contextTokensMax", "outputTokensMax"] as const) {
    if (model[field] !== undefined && model[field] < 1) refuse(`model.${field}`, "At least 1.");
  }
  return [...checkFallbacks(model, world), ...warn(model, world)];
}

/** The model that serves a name: the exact one, else the wildcard with the longest prefix. */
export function findServing(models: Iterable<Model>, name: string): Model | undefined {
  let best: Model | undefined;
  for (const model of models) {
    if (model.name === `models/${name}`) return model;
    if (!model.name.endsWith("*")) continue;
    if (!`models/${name}`.startsWith(model.name.slice(0, -1))) continue;
    if (best === undefined || model.name.length > best.name.length) best = model;
  }
  return best;
}

function checkAlias(model: Model, world: World): string[] {
  const { $typeName, name, displayName, labels, aliasOf, meta, ...rest } = model;
  for (const [field, value] of Object.entries(rest)) {
    if (field === "$unknown" || value === undefined || value === false || value === 0) continue;
    if (Array.isArray(value) && value.length === 0) continue;
    refuse(`model.${field}`, "An alias has nothing but labels: everything else is its model's.");
  }
  if (name.endsWith("*")) refuse("model.alias_of", "A wildcard cannot be an alias.");
  const others = [...world.models.values()].filter((each) => each.name !== name);
  let next = aliasOf;
  for (let depth = 1; next !== ""; depth++) {
    if (`models/${next}` === name) refuse("model.alias_of", "Aliases would go round in a circle.");
    if (depth > ALIAS_DEPTH_MAX) {
      refuse("model.alias_of", `At most ${ALIAS_DEPTH_MAX} aliases lead to a model.`);
    }
    const found = findServing(others, next);
    if (found === undefined) throw missing("model.alias_of", `models/${next}`);
    next = found.aliasOf;
  }
  return [];
}

function checkTarget(target: Target, model: Model, world: World): void {
  const at = "model.targets";
  if (!providerKind.pattern.test(target.provider)) {
    refuse(`${at}.provider`, `${quote(target.provider)} must be ${providerKind.form}.`);
  }
  if (!world.providers.has(target.provider)) throw missing(`${at}.provider`, target.provider);
  if (target.upstreamModel.length > 300) refuse(`${at}.upstream_model`, "At most 300 characters.");
  const stars = target.upstreamModel.split("*").length - 1;
  if (stars > (model.name.endsWith("*") ? 1 : 0)) {
    refuse(`${at}.upstream_model`, "Only behind a wildcard it holds a *, and only one.");
  }
  if (target.weight !== undefined && !isWithin(target.weight, 0, 1_000_000)) {
    refuse(`${at}.weight`, "A weight is from 0 to 1,000,000.");
  }
  if (!isWithin(target.priority, 0, 1000)) {
    refuse(`${at}.priority`, "A priority is from 0 to 1000.");
  }
  checkJsonObject(`${at}.parameter_overrides`, target.parameterOverrides);
  checkHeaders(`${at}.headers`, target.headers);
  checkCapabilities(`${at}.capabilities`, target.capabilities);
  if (target.quantization.length > 63) refuse(`${at}.quantization`, "At most 63 characters.");
  if (target.price !== undefined) checkPrice(`${at}.price`, target.price);
}

function checkFallbacks(model: Model, world: World): string[] {
  const warnings: string[] = [];
  const others = [...world.models.values()].filter((each) => each.name !== model.name);
  for (const [field, names] of [
    ["model.fallbacks", model.fallbacks],
    ["model.context_window_fallbacks", model.contextWindowFallbacks],
    ["model.content_policy_fallbacks", model.contentPolicyFallbacks],
  ] as const) {
    checkCount(field, names.length, 20);
    for (const name of names) {
      if (`models/${name}` === model.name) {
        refuse(field, "A model cannot be its own fallback: that would be a circle.");
      }
      // A wildcard may go on with another name that it serves itself.
      const serving = findServing([...others, model], name);
      if (serving === undefined) throw missing(field, `models/${name}`);
      if (serving.fallbacks.some((each) => `models/${each}` === model.name)) {
        // Allowed: a request tries each target once, and does not follow the fallbacks of its
        // fallbacks.
        warnings.push(`${model.name} and ${serving.name} name each other as fallbacks.`);
      }
    }
  }
  return warnings;
}

function warn(model: Model, world: World): string[] {
  const warnings: string[] = [];
  if (model.targets.every((target) => target.weight === 0)) {
    warnings.push(`All targets of ${model.name} have weight 0: they are tried only as fallbacks.`);
  }
  const seen = new Set<string>();
  for (const target of model.targets) {
    const id = `${target.provider} ${target.upstreamModel}`;
    if (seen.has(id)) warnings.push(`${model.name} has the target ${id} twice.`);
    seen.add(id);
    if (world.providers.get(target.provider)?.disabled) {
      warnings.push(`${target.provider} is disabled, so ${model.name} cannot go there.`);
    }
  }
  if (!isAllowedToSomebody(model, world)) {
    warnings.push(`No access policy allows ${model.name}, so nobody may use it.`);
  }
  return warnings;
}

function isAllowedToSomebody(model: Model, world: World): boolean {
  const name = model.name.slice("models/".length);
  for (const { name: policy, rule, mode, disabled } of world.policies.values()) {
    if (disabled || mode === Policy_Mode.AUDIT || rule.case !== "access") continue;
    // A team's own policy only tightens.
    if (!policy.startsWith("policies/")) continue;
    for (const pattern of rule.value.allowModels) {
      if (meet(pattern, name)) return true;
    }
  }
  return false;
}

/** Whether two patterns have a name in common. */
function meet(a: string, b: string): boolean {
  const [startA, startB] = [a.replace(/\*$/, ""), b.replace(/\*$/, "")];
  if (a === b) return true;
  if (a.endsWith("*") && startB.startsWith(startA)) return true;
  return b.endsWith("*") && startA.startsWith(startB);
}

function isWithin(value: number, min: number, max: number): boolean {
  return value >= min && value <= max;
}
