import type { ChatAsk, EmbedAsk } from "../mesh/ask.ts";
import type { NameVerdict } from "./judge-name.ts";

/** A parameter of a request that policy denies at a model, and the policy. */
export interface DeniedParameter {
  readonly parameter: string;
  readonly policy: string;
}

/** The first parameter that a request sets and may not where this model answers. */
export function findDeniedParameter(
  { access }: NameVerdict,
  ask: ChatAsk | EmbedAsk,
): DeniedParameter | undefined {
  if (access.deniedParameters.size === 0) return undefined;
  for (const parameter of ask.parameters()) {
    const policy = access.deniedParameters.get(parameter);
    if (policy !== undefined) return { parameter, policy };
  }
  return undefined;
}

/** Policies in audit mode that would have denied a parameter of the request. */
export function listAudited({ access }: NameVerdict, ask: ChatAsk | EmbedAsk): readonly string[] {
  if (access.auditedParameters.length === 0) return [];
  const given = new Set(ask.parameters());
  return access.auditedParameters
    .filter(({ rule }) => rule.denyParameters.some((parameter) => given.has(parameter)))
    .map(({ policy }) => policy.name);
}
