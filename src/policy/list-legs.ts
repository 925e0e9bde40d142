import type { ChatAsk, EmbedAsk } from "../mesh/ask.ts";
import type { Call } from "../mesh/call.ts";
import type { Leg } from "../mesh/grant.ts";
import { findDeniedParameter } from "./denied-parameter.ts";
import type { NameVerdict } from "./judge-name.ts";

/**
 * Longer names name nothing. They are neither kept nor said back: a memory of verdicts must not
 * hold a request's worth of text, and an HTTP/2 trailer that is too long ends the whole connection.
 */
export const NAME_CHARACTERS_MAX = 512;
/**
 * The model, what the caller names beside it, and what the model's resource names: no more than
 * this.
 */
const LEGS_MAX = 16;
/** The models that limits name to answer instead of a refusal: so many beside all others. */
const DOWNGRADES_MAX = 8;

/**
 * The first leg of a route, then those that the caller and the model's resource name as fallbacks,
 * then those that limits name to answer instead of a refusal. Models that policy denies or that are
 * not there, and those at which it denies a parameter of the request, are left out and noted in the
 * call's trail.
 */
export function listLegs(
  first: Leg,
  ask: ChatAsk | EmbedAsk,
  call: Call,
  judge: (name: string) => NameVerdict,
): Leg[] {
  const legs = [first];
  const find = (given: string): Leg | undefined => {
    const name = given.slice(0, NAME_CHARACTERS_MAX + 1);
    const verdict = judge(name);
    const reason = excludesLeg(verdict, ask);
    if (reason === undefined) return verdict.leg;
    call.trail.excluded.push({
      $typeName: "weir.admin.v1.ExcludedTarget",
      provider: "",
      upstreamModel: name,
      reason,
    });
    return undefined;
  };
  const add = (names: readonly string[], after: Leg["after"]): void => {
    for (const name of names.slice(0, LEGS_MAX)) {
      if (legs.length >= LEGS_MAX) return;
      const leg = find(name);
      if (leg !== undefined && !legs.some((each) => each.name === leg.name)) {
        legs.push({ ...leg, after });
      }
    }
  };
  add(ask.fallbackModels, "any");
  add(first.model.fallbacks, "any");
  add(first.model.contextWindowFallbacks, "context_window");
  add(first.model.contentPolicyFallbacks, "content_policy");
  addDowngrades(legs, find);
  return legs;
}

/** Why a model is no leg of this request; undefined when it is one. */
function excludesLeg(verdict: NameVerdict, ask: ChatAsk | EmbedAsk): string | undefined {
  if (verdict.leg === undefined) return "there is no such model";
  if (verdict.access.deniedBy !== undefined) return "no policy allows this model";
  const denied = findDeniedParameter(verdict, ask);
  if (denied === undefined) return undefined;
  return `${denied.policy} does not allow the parameter ${denied.parameter}`;
}

/**
 * Adds the models that the legs' limits name, those of the added legs too. A model that is tried
 * after any failure anyway needs no leg of its own.
 */
function addDowngrades(legs: Leg[], find: (name: string) => Leg | undefined): void {
  let looked: Set<string> | undefined;
  // The list grows while it is walked.
  for (const { limits } of legs) {
    for (const { limit } of limits ?? []) {
      const name = limit.downgradeTo;
      if (name === "" || limit.audit || looked?.has(name)) continue;
      looked ??= new Set();
      if (looked.size >= DOWNGRADES_MAX) return;
      looked.add(name);
      const leg = find(name);
      if (leg === undefined) continue;
      const isTried = (each: Leg) =>
        each.name === leg.name && (each.after === "first" || each.after === "any");
      if (!legs.some(isTried)) legs.push({ ...leg, after: "budget", askedAs: name });
    }
  }
}
