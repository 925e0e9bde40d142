import type { Selector } from "../../gen/weir/admin/v1/policy_pb.ts";
import type { PolicyEntry } from "../mesh/compile-policy.ts";
import type { KeyLimit, Names } from "../mesh/key-limit.ts";
import type { PolicyIndex } from "../mesh/policy-index.ts";
import { isPotByLabel, type LimitBinder, nameSubject } from "./bind-limits.ts";
import { concernsPrincipal } from "./concerns.ts";
import type { KeyFile } from "./key-file.ts";

/** What the limits of a key are found with. */
export interface KeyLimitTools {
  readonly index: PolicyIndex;
  readonly binder: LimitBinder;
  /** Whether the key may know of a model, as clients name it. */
  knows(model: string): boolean;
}

/**
 * The limits that concern a key, by name of policy. Those that only name models are looked for
 * under each model that policies name; all others stand in the key's own file.
 */
export function listKeyLimits(file: KeyFile, tools: KeyLimitTools): KeyLimit[] {
  const found = new Set<PolicyEntry>();
  for (const entry of file.concerning) if (entry.limit !== undefined) found.add(entry);
  for (const place of tools.index.modelPlaces()) {
    for (const entry of tools.index.shelf(place)?.entries.values() ?? []) {
      if (entry.limit === undefined || found.has(entry)) continue;
      if (!concernsPrincipal(entry, file.principal)) continue;
      if (tools.knows(place.slice("models/".length))) found.add(entry);
    }
  }
  return [...found]
    .sort((a, b) => (a.policy.name < b.policy.name ? -1 : 1))
    .flatMap((entry) => describe(entry, file, tools));
}

function describe(
  { policy, limit }: PolicyEntry,
  { principal }: KeyFile,
  { binder, knows }: KeyLimitTools,
): KeyLimit[] {
  const { match } = policy;
  // What the key may not use is no business of its holder.
  const models = readNames(match?.models, (name) => name.endsWith("*") || knows(name));
  const isEmptied = models.include.length === 0 && (match?.models?.include.length ?? 0) > 0;
  if (limit === undefined || isEmptied) return [];
  const labels: Record<string, readonly string[]> = {};
  for (const label in match?.labels) labels[label] = match.labels[label]?.values ?? [];
  const bound = isPotByLabel(limit, principal.key.labels)
    ? undefined
    : binder.bind(limit, nameSubject(limit, principal, {}));
  const providers = shorten(readNames(match?.providers, () => true));
  return [{ limit, bound, models, providers, labels }];
}

function readNames(selector: Selector | undefined, shown: (name: string) => boolean): Names {
  if (selector === undefined) return ALL;
  return { include: selector.include.filter(shown), exclude: selector.exclude.filter(shown) };
}

function shorten({ include, exclude }: Names): Names {
  const cut = (name: string) => name.replace(/^providers\//, "");
  return { include: include.map(cut), exclude: exclude.map(cut) };
}

const ALL: Names = { include: [], exclude: [] };
