import type { PolicyEntry } from "../mesh/compile-policy.ts";
import type { Principal } from "../mesh/grant.ts";
import { matchesAny, selects } from "./pattern.ts";

/** Labels by name. */
export type Labels = Readonly<Record<string, string>>;

/**
 * Whether a policy concerns a principal, whatever it asks. One below `teams/{team}` concerns that
 * team's subtree only. False too where the key's own labels already say that it does not.
 */
export function concernsPrincipal({ policy, team }: PolicyEntry, principal: Principal): boolean {
  const { key, teams, user } = principal;
  if (team !== "" && !teams.some((each) => each.name === team)) return false;
  const match = policy.match;
  if (match === undefined) return true;
  if (!selects(match.keys, [key.name])) return false;
  if (match.users !== undefined && !selects(match.users, user === "" ? [] : [user])) return false;
  if (match.teams !== undefined) {
    const names = teams.map((each) => each.name);
    if (!selects(match.teams, names)) return false;
  }
  for (const label in match.labels) {
    if (Object.hasOwn(key.labels, label) && !matchesLabel(match.labels, label, key.labels)) {
      return false;
    }
  }
  return true;
}

/**
 * Whether a policy concerns a model: `names` are what was asked for and, for an alias, the name
 * behind it.
 */
export function concernsModel({ policy }: PolicyEntry, names: readonly string[]): boolean {
  return selects(policy.match?.models, names);
}

/** Whether it takes a request's labels to tell, since the key's own do not have them all. */
export function dependsOnLabels({ policy }: PolicyEntry, own: Labels): boolean {
  for (const label in policy.match?.labels) {
    if (!Object.hasOwn(own, label)) return true;
  }
  return false;
}

/** Whether all labels that a policy asks for are there; the key's own win over the request's. */
export function matchesLabels({ policy }: PolicyEntry, asked: Labels, own: Labels): boolean {
  const wanted = policy.match?.labels ?? {};
  for (const label in wanted) {
    if (!matchesLabel(wanted, label, Object.hasOwn(own, label) ? own : asked)) return false;
  }
  return true;
}

function matchesLabel(
  wanted: Readonly<Record<string, { readonly values: readonly string[] }>>,
  label: string,
  given: Labels,
): boolean {
  // Labels come from callers: one called `constructor` must not find what every object has.
  const value = Object.hasOwn(given, label) ? given[label] : undefined;
  return value !== undefined && matchesAny(wanted[label]?.values ?? [], value);
}
