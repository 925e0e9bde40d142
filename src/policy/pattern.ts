import type { Selector } from "../../gen/weir/admin/v1/policy_pb.ts";

/** Whether a name is what a pattern says: equal, or beginning like a pattern that ends in `*`. */
export function matchesPattern(pattern: string, name: string): boolean {
  if (pattern.endsWith("*")) return name.startsWith(pattern.slice(0, -1));
  return pattern === name;
}

/** Whether a name is what any of the patterns says. */
export function matchesAny(patterns: readonly string[], name: string): boolean {
  for (const pattern of patterns) {
    if (matchesPattern(pattern, name)) return true;
  }
  return false;
}

/**
 * Whether any of the names is selected: included, or nothing is included by name, and none of them
 * is excluded. An unset selector selects everything.
 */
export function selects(selector: Selector | undefined, names: readonly string[]): boolean {
  if (selector === undefined) return true;
  for (const name of names) {
    if (matchesAny(selector.exclude, name)) return false;
  }
  if (selector.include.length === 0) return true;
  for (const name of names) {
    if (matchesAny(selector.include, name)) return true;
  }
  return false;
}
